"""``langcache doctor``: every warning is provoked in real directories, and told by a real process."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

import langcache
from langcache import Request, Response
from langcache.cli import main
from langcache_transports.embedded import DataPlane
from tests.environments import link_libraries
from tests.local_server import LocalServer

VERSION = langcache.__version__
PACKAGES = [Path(langcache.__file__).parent, Path(langcache.__file__).parent.parent / "langcache_transports"]
CANARY = "canary-5f1d"


class Told:
    """What the doctor told, with its exit status."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        parts = re.split(r"^Warning: ", text, flags=re.MULTILINE)[1:]
        self.warnings = [part.partition("\n\n")[0] for part in parts]

    def line(self, name: str) -> str:
        """Return the value of the line of that name."""
        found = re.search(rf"^  {re.escape(name)} +(.*)$", self.text, re.MULTILINE)
        assert found is not None, f"no line {name!r} in:\n{self.text}"
        return found[1]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of what langcache needs, and of nothing else."""
    directory = tmp_path_factory.mktemp("of the doctor") / "libraries"
    link_libraries(directory, "langcache")
    return directory


Doctor = Callable[..., Told]


@pytest.fixture
def doctor(libraries: Path, tmp_path: Path) -> Doctor:
    """Run the command in a process whose path is `directories`, with the libraries and without site-packages."""

    def run(*directories: Path, **variables: str) -> Told:
        environment = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        environment |= {"PYTHONPATH": os.pathsep.join(map(str, [*directories, libraries])), **variables}
        return process([sys.executable, "-S", "-W", "error", "-m", "langcache", "doctor"], environment, tmp_path)

    return run


def process(command: list[str], environment: dict[str, str], directory: Path) -> Told:
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return Told(done.returncode, done.stdout)


def copied(directory: Path) -> Path:
    """Copy the packages alone to `directory`."""
    for package in PACKAGES:
        shutil.copytree(package, directory / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def described(directory: Path, name: str = "langcache", version: str = VERSION, **texts: str) -> Path:
    """Write the metadata of a distribution to `directory`; `texts` are further files of it, with _ for the dot."""
    metadata = directory / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(distribution("langcache").read_text("entry_points.txt") or "")
    for key, text in texts.items():
        (metadata / key.replace("_txt", ".txt").replace("url_json", "url.json")).write_text(text)
    return directory


def record(directory: Path) -> str:
    """Return the RECORD of everything that is in `directory`."""
    lines = [
        f"{path.relative_to(directory).as_posix()},sha256={digest(path)},{path.stat().st_size}"
        for path in directory.rglob("*")
        if path.is_file()
    ]
    return "\n".join(lines)


def digest(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def installed(directory: Path, name: str = "langcache", version: str = VERSION) -> Path:
    """Put into `directory` what an installation of a wheel does."""
    copied(directory)
    return described(directory, name, version, RECORD=record(directory))


def editable(project: Path, metadata: Path, version: str = VERSION) -> Path:
    """Put into `metadata` what an editable installation of `project` does."""
    origin = json.dumps({"dir_info": {"editable": True}, "url": project.as_uri()})
    return described(metadata, version=version, RECORD="__editable__.langcache.pth,,", direct_url_json=origin)


def left(path: Path) -> None:
    """Leave something at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# left over\n")


# Installations that are sound


def test_the_installation_that_runs_the_tests_is_sound(tmp_path: Path) -> None:
    """An editable one, or a wheel under tox; by both ways to call the command."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = str(Path(sys.executable).parent / "langcache")
    for command in ([sys.executable, "-m", "langcache"], [script]):
        told = process([*command, "doctor"], environment, tmp_path)
        assert (told.status, told.warnings) == (0, [])
        assert told.text.endswith("\nAll is well.\n")
        assert told.line("distribution").removesuffix(" (editable)") == f"langcache {VERSION}"


def test_an_installed_wheel_is_sound_and_told_in_full(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    described(site, "httpx", "0.28.1", entry_points_txt="")
    told = doctor(site)
    assert (told.status, told.warnings) == (0, [])
    assert told.line("imported from") == str(site / "langcache" / "__init__.py")
    assert told.line("distribution") == f"langcache {VERSION}"
    assert told.line("its metadata") == str(site)
    assert told.line("langcache") == VERSION
    assert sys.executable in told.line("Python")
    for name in ("pydantic", "pluggy", "urllib3", "requests", "certifi"):
        assert told.line(name) == distribution(name).version
    assert told.line("httpx") == "0.28.1 (not needed)"
    assert told.line("aiohttp") == "not installed, not needed"
    assert re.search(rf"^  urllib3 +langcache_transports\.urllib3 +langcache {VERSION}$", told.text, re.MULTILINE)
    assert "\nPlugins\n  none\n" in told.text
    assert "sync calls: langcache_transports.urllib3.Urllib3Transport" in told.text
    assert told.line("not asked").endswith("which is no failure")


@pytest.mark.parametrize("layout", ["", "src", "build/__editable__.langcache-1-py3-none-any"])
def test_an_editable_installation_is_sound_although_its_metadata_is_there_twice(
    doctor: Doctor, tmp_path: Path, layout: str
) -> None:
    """For pip beside the other packages, and for setuptools in the project, which is on the path as well.

    In setuptools' strict mode links stand for the files, in a directory of the build's.
    """
    project = tmp_path / "a project"
    sources = copied(project / layout)
    described(sources, top_level_txt="langcache\nlangcache_transports\n")
    metadata = sources / f"langcache-{VERSION}.dist-info"
    (metadata / "METADATA").rename(metadata / "PKG-INFO")
    metadata.rename(sources / "langcache.egg-info")
    left(sources / "langcache" / "new_module.py")
    site = editable(project, tmp_path / "site")
    for path in ([site, sources], [sources, site]):
        told = doctor(*path)
        assert (told.status, told.warnings) == (0, [])
        assert told.line("distribution") == f"langcache {VERSION} (editable)"
        assert told.line("its metadata") == str(site)


def test_what_an_interrupted_installation_left_is_passed_over(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    (site / "langcache-0.14.0.dist-info").mkdir()
    (site / "broken-1.dist-info").mkdir()
    assert doctor(site).status == 0


def test_metadata_that_cannot_be_read_is_named(doctor: Doctor, tmp_path: Path) -> None:
    """It may be another distribution's that provides the package too."""
    site = installed(tmp_path / "site")
    broken = site / "stranger-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nVersion: 1\n")
    told = doctor(site)
    assert told.status == 1
    [warning] = told.warnings
    assert str(broken) in warning


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("direct_url.json", '{"url": "file:///x", "dir_info": []}'),
        ("direct_url.json", "[]"),
        ("RECORD", "langcache/new.py,shake_128=AAAA,1\n"),
    ],
)
def test_no_metadata_ends_the_report(doctor: Doctor, tmp_path: Path, file: str, text: str) -> None:
    site = installed(tmp_path / "site")
    described(site, "stranger", "2.5", top_level_txt="langcache\n", **{file.replace(".", "_"): text})
    told = doctor(site)
    assert told.status == 1
    assert any("stranger" in warning for warning in told.warnings)


def test_what_the_terminal_cannot_show_does_not_end_the_report(doctor: Doctor, tmp_path: Path) -> None:
    told = doctor(
        installed(tmp_path / "site"), PYTHONIOENCODING="ascii", LANGCACHE_SERVER_URL="http://\u00fcn\u00ef.invalid",
        LANGCACHE_API_KEY="k", LANGCACHE_CACHE_ID="c",
    )  # fmt: skip
    assert told.line("search") == "failed"


def test_installed_plugins_are_listed_with_their_distribution(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    described(site, "stranger", "2.5", entry_points_txt="[langcache.plugins]\naudit = stranger.audit:plugin\n")
    told = doctor(site)
    assert told.status == 0
    assert re.fullmatch(r"stranger\.audit:plugin +stranger 2\.5", told.line("audit"))


def test_nothing_of_an_installed_plugin_is_imported_unasked(doctor: Doctor, tmp_path: Path) -> None:
    """Nor of an installed transport: they are listed by their metadata, and may do anything when they are imported."""
    site = installed(tmp_path / "site")
    points = "[langcache.plugins]\naudit = stranger:plugin\n\n[langcache.transports]\nfast = stranger\n"
    described(site, "stranger", "2.5", entry_points_txt=points)
    (site / "stranger.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    told = doctor(site)
    assert told.status == 0
    assert told.line("fast").startswith("stranger ")
    assert not (tmp_path / "imported").exists()
    doctor(site, LANGCACHE_PLUGINS="audit")
    assert (tmp_path / "imported").exists()


def test_a_distribution_without_metadata_is_listed_in_words(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    described(site, "stranger", "2.5", entry_points_txt="[langcache.plugins]\naudit = stranger.audit:plugin\n")
    (site / "stranger-2.5.dist-info" / "METADATA").unlink()
    told = doctor(site)
    assert told.line("audit").endswith("  a distribution without a name (no version)")


# Installations that are not


def test_of_two_distributions_the_one_that_wins_is_told(doctor: Doctor, tmp_path: Path) -> None:
    first, second = installed(tmp_path / "first"), tmp_path / "second"
    left(second / "langcache" / "__init__.py")
    left(second / "langcache" / "sdk.py")
    described(second, version="0.14.0", RECORD=record(second))
    told = doctor(first, second)
    assert told.status == 1
    [warning] = told.warnings
    assert f"2 distributions provide the import package langcache: langcache {VERSION} in {first}" in warning
    assert f"langcache 0.14.0 in {second}. The first on sys.path wins: langcache {VERSION} in {first}." in warning
    assert "Keep one: uninstall the others" in warning


@pytest.mark.parametrize("name", ["langcache", "a_fork"])
def test_of_two_distributions_in_one_directory_the_files_tell_the_owner(
    doctor: Doctor, tmp_path: Path, name: str
) -> None:
    """As after two `pip install --target`, or a copy of one directory over another."""
    site = installed(tmp_path / "site")
    described(site, name, "0.14.0", RECORD="langcache/__init__.py,sha256=another,1\nlangcache/sdk.py,sha256=another,1")
    told = doctor(site)
    assert told.status == 1
    assert told.line("distribution") == f"langcache {VERSION}"
    several, outdated = told.warnings
    assert f"the last installed wins; by the files this is langcache {VERSION}" in several
    assert "uninstall both, and install the one again" in several
    assert f"says {name} 0.14.0, but the package says {VERSION}" in outdated


def test_what_the_official_sdk_left_is_told_from_other_strange_files(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    for name in ("sdk.py", "_hooks/__init__.py", "extra.py", "types/basemodel.pyi", "notes.txt"):
        left(site / "langcache" / name)
    told = doctor(site)
    assert told.status == 1
    [warning] = told.warnings
    assert f"{site / 'langcache'} is a mixture: it holds files of the official SDK: _hooks, sdk.py;" in warning
    assert f"it holds files that langcache {VERSION} did not install: extra.py." in warning
    assert f"delete what is left of {site / 'langcache'}, and install the one langcache that you want" in warning
    assert told.line("not asked") == "the warnings are to be put right first"


def test_files_that_are_missing_or_changed_are_told_and_only_the_first_of_many(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    (site / "langcache" / "httpclient.py").unlink()
    left(site / "langcache" / "types.py")
    for number in range(8):
        left(site / "langcache" / f"extra_{number}.py")
    [warning] = doctor(site).warnings
    assert f"it lacks files that langcache {VERSION} installed: httpclient.py;" in warning
    assert f"it holds files that are not as langcache {VERSION} installed them: types.py." in warning
    assert "extra_0.py, extra_1.py, extra_2.py, extra_3.py, extra_4.py and 3 more;" in warning


def test_a_mixture_that_cannot_be_imported_is_told_all_the_same(doctor: Doctor, tmp_path: Path) -> None:
    """The official SDK's errors are a package, which Python prefers to this package's module of that name."""
    site = installed(tmp_path / "site")
    left(site / "langcache" / "errors" / "__init__.py")
    told = doctor(site)
    assert told.status == 1
    [warning] = told.warnings
    assert f"it holds files that langcache {VERSION} did not install: errors/__init__.py." in warning


def test_a_library_that_is_missing_is_told(doctor: Doctor, libraries: Path, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    (tmp_path / "few").mkdir()
    for path in libraries.iterdir():
        if not path.name.startswith("urllib3"):
            (tmp_path / "few" / path.name).symlink_to(path)
    told = doctor(site, PYTHONPATH=os.pathsep.join([str(site), str(tmp_path / "few")]))
    assert told.status == 1
    [warning] = told.warnings
    assert "No client can be made: PluginError:" in warning
    assert "No module named 'urllib3'" in warning
    assert "\n  urllib3               not installed\n" in told.text


@pytest.mark.parametrize("hides", [False, True])
def test_a_copy_without_metadata_is_told(doctor: Doctor, tmp_path: Path, hides: bool) -> None:
    copy = copied(tmp_path / "copy")
    path = [copy, installed(tmp_path / "site")] if hides else [copy]
    told = doctor(*path)
    assert told.status == 1
    assert told.line("distribution") == "none"
    warning = told.warnings[0]
    assert f"No distribution's metadata covers {copy / 'langcache'}" in warning
    assert (f"It hides langcache {VERSION} in {tmp_path / 'site'}." in warning) is hides
    assert "python -m pip install" in warning
    assert f"take {copy} off PYTHONPATH" in warning
    assert "sync calls: langcache_transports.urllib3.Urllib3Transport" in told.text


def test_the_official_sdk_is_found_in_a_copy_too(doctor: Doctor, tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy")
    left(copy / "langcache" / "basesdk.py")
    assert "it holds files of the official SDK: basesdk.py.\n  Delete these files" in doctor(copy).warnings[-1]


def test_metadata_of_another_version_is_told(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site", version="0.9")
    [warning] = doctor(site).warnings
    assert f"The metadata in {site} says langcache 0.9, but the package says {VERSION}." in warning
    assert "install the one langcache that you want" in warning


def test_an_editable_installation_whose_version_moved_on_is_told(doctor: Doctor, tmp_path: Path) -> None:
    project = copied(tmp_path / "project")
    [warning] = doctor(project, editable(project, tmp_path / "site", "0.9")).warnings
    assert f"Renew it: `python -m pip install --editable {project}`." in warning


# The environment, and what must not be shown


def test_variables_are_named_and_never_shown(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    names = ("LANGCACHE_API_KEY", "LANGCACHE_CACHE_ID", "LANGCACHE_OTHER", "https_proxy", "SSL_CERT_FILE", "NO_PROXY")
    told = doctor(site, **dict.fromkeys(names, CANARY), ALL_PROXY="", UNRELATED=CANARY)
    assert {told.line(name) for name in names} == {"set"}
    assert told.line("ALL_PROXY") == "set, but empty"
    assert "UNRELATED" not in told.text
    assert CANARY not in told.text


@pytest.mark.parametrize(
    "url",
    [f"http://user:{CANARY}@127.0.0.1:9", f"user:{CANARY}@127.0.0.1", f"http://127.0.0.1:9?token={CANARY}"],
)
def test_a_secret_in_the_url_is_not_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = asked(capsys, url)
    assert told.status == 1
    assert told.line("error").startswith("ConfigurationError: The server URL")
    assert CANARY not in told.text


def test_a_key_that_the_server_quotes_is_not_shown(server: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain or as JSON; and the answer stays in its line, without what a terminal would obey."""
    key = f'{CANARY}"{"x" * 500}'
    body = f"\x1b[31m<html>\n  {json.dumps(key)} is\twrong: {key}".encode()
    server.answer = lambda request: Response(401, {"X-Request-Id": f"of {key}"}, body)
    told = asked(capsys, server.url, key)
    assert told.line("error") == 'AuthenticationError: [31m<html> "***" is wrong: ***'
    assert told.line("request id") == "of ***"
    assert CANARY not in told.text


def test_a_long_error_is_cut(server: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer = lambda request: Response(500, {}, b"long " * 1000)
    assert len(asked(capsys, server.url).line("error")) == 403


# Whether the server answers


def asked(capsys: pytest.CaptureFixture[str], url: str, key: str = "k1") -> Told:
    """Ask the server at `url` from this process, of whose installation these tests say nothing."""
    status = main(["doctor", "--server-url", url, "--cache-id", "c", "--api-key", key])
    return Told(status, capsys.readouterr().out)


@pytest.mark.parametrize("request_id", [None, "r-17"])
def test_a_server_that_answers_is_told_with_its_time_and_request_id(
    doctor: Doctor, server: LocalServer, tmp_path: Path, request_id: str | None
) -> None:
    plane = DataPlane()

    def answer(request: Request) -> Response:
        answered = plane.handle(request)
        headers = {**answered.headers, **({} if request_id is None else {"x-request-id": request_id})}
        return Response(answered.status_code, headers, answered.content)

    server.answer = answer
    settings = {"LANGCACHE_SERVER_URL": server.url, "LANGCACHE_CACHE_ID": "c", "LANGCACHE_API_KEY": CANARY}
    told = doctor(installed(tmp_path / "site"), **settings)
    assert told.status == 0
    assert told.line("search") == "answered"
    assert re.fullmatch(r"\d+\.\d ms", told.line("time"))
    assert ("request id" in told.text) is (request_id is not None)
    assert request_id is None or told.line("request id") == request_id
    assert told.text.endswith("\nAll is well.\n")
    assert CANARY not in told.text
    [request] = server.requests
    assert (request.method, request.url) == ("POST", "/v1/caches/c/entries/search")
    assert request.headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, "BadRequestError", "see the error's text"),
        (401, "AuthenticationError", "check the API key: --api-key or LANGCACHE_API_KEY"),
        (403, "ForbiddenError", "check the API key"),
        (404, "NotFoundError", "check the cache id"),
        (429, "TooManyRequestsError", "try again later"),
        (503, "APIError", "the service failed"),
        (200, "ResponseValidationError", "check that the server URL is a LangCache service's"),
    ],
)
def test_an_answer_that_is_an_error_is_told_with_a_hint(
    server: LocalServer, capsys: pytest.CaptureFixture[str], status: int, kind: str, hint: str
) -> None:
    server.answer = lambda request: Response(status, {"X-Request-Id": "r-18"}, b'{"title": "no"}')
    told = asked(capsys, server.url)
    assert told.status == 1
    assert told.line("search") == "failed"
    assert told.line("error").startswith(f"{kind}: ")
    assert hint in told.line("hint")
    assert told.line("request id") == "r-18"


def test_a_server_that_is_not_there_is_told(doctor: Doctor, tmp_path: Path) -> None:
    settings = {"LANGCACHE_SERVER_URL": "http://127.0.0.1:9", "LANGCACHE_CACHE_ID": "c", "LANGCACHE_API_KEY": CANARY}
    told = doctor(installed(tmp_path / "site"), **settings)
    assert told.status == 1
    assert told.line("error").startswith("ConnectError: ")
    assert "DNS, the firewall" in told.line("hint")
    assert told.text.endswith("\nThe installation is sound; the server check failed.\n")
    assert CANARY not in told.text


def test_a_server_that_is_silent_is_told(
    server: LocalServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langcache.cli.doctor._TIMEOUT_MS", 50)

    def slow(request: Request) -> Response:
        time.sleep(0.3)
        return Response(200, {}, b'{"data":[]}')

    server.answer = slow
    told = asked(capsys, server.url)
    assert told.status == 1
    assert told.line("error").startswith("ReadTimeout: ")
    assert told.line("hint").startswith("no answer in 50 ms")


def test_what_is_missing_for_the_search_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--server-url", "http://127.0.0.1:9", "--cache-id", "c"]) == 1
    told = Told(1, capsys.readouterr().out)
    assert told.line("error").startswith("ConfigurationError: No API key")
    assert told.line("hint").startswith("nothing was sent")


def test_settings_with_which_no_client_can_be_made_are_told(doctor: Doctor, tmp_path: Path) -> None:
    told = doctor(installed(tmp_path / "site"), LANGCACHE_SERVER_URL="carrier-pigeon://loft")
    assert told.status == 1
    [warning] = told.warnings
    assert "No client can be made: UnknownTransportError: No transport answers to 'carrier-pigeon'" in warning
    assert told.line("not asked") == "the warnings are to be put right first"


def test_the_data_plane_in_the_process_can_be_asked_too(doctor: Doctor, tmp_path: Path) -> None:
    told = doctor(installed(tmp_path / "site"), LANGCACHE_SERVER_URL="embedded://", LANGCACHE_CACHE_ID="c")
    assert (told.status, told.line("search")) == (0, "answered")


def test_the_server_is_asked_where_plugins_are_turned_off(doctor: Doctor, tmp_path: Path) -> None:
    settings = {"LANGCACHE_SERVER_URL": "embedded://", "LANGCACHE_CACHE_ID": "c", "LANGCACHE_DISABLE_PLUGINS": "1"}
    told = doctor(installed(tmp_path / "site"), **settings)
    assert (told.status, told.line("search")) == (0, "answered")


def test_a_plugin_that_is_left_out_is_told(doctor: Doctor, tmp_path: Path) -> None:
    """The server is asked all the same."""
    site = installed(tmp_path / "site")
    described(site, "stranger", "2.5", entry_points_txt="[langcache.plugins]\naudit = stranger:plugin\n")
    settings = {"LANGCACHE_SERVER_URL": "embedded://", "LANGCACHE_CACHE_ID": "c", "LANGCACHE_PLUGINS": "missing,audit"}
    told = doctor(site, **settings)
    assert (told.status, told.line("search")) == (1, "answered")
    assert "All is well." not in told.text
    by = "which LANGCACHE_PLUGINS asks for, is left out: it"
    missing, broken = told.warnings
    assert missing.startswith(f"The plugin 'missing', {by} is not installed; installed are audit\n")
    assert broken.startswith(f"The plugin 'audit', {by} cannot be loaded (stranger:plugin): ModuleNotFoundError: ")
    told = doctor(site, **settings, LANGCACHE_DISABLE_PLUGINS="1")
    assert (told.status, told.warnings) == (0, [])


_FAILING = """
from langcache import hookimpl

@hookimpl
def langcache_{kind}transport():
    raise RuntimeError("no hardware for this")
"""


def test_a_plugin_that_fails_although_it_is_there_is_told(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    described(site, "stranger", "2.5", entry_points_txt="[langcache.plugins]\nfast = stranger\n")
    (site / "stranger.py").write_text(_FAILING.format(kind="").replace("langcache_transport", "langcache_composed"))
    told = doctor(site, LANGCACHE_PLUGINS="fast", LANGCACHE_SERVER_URL="embedded://", LANGCACHE_CACHE_ID="c")
    assert (told.status, told.line("search")) == (1, "answered")
    [warning] = told.warnings
    by = "The plugin 'fast', which LANGCACHE_PLUGINS asks for, fails in langcache_composed, and goes on without: "
    assert warning.startswith(f"{by}RuntimeError: no hardware for this\n")


def test_a_plugin_whose_hook_for_transports_fails_ends_no_report(doctor: Doctor, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    described(site, "stranger", "2.5", entry_points_txt="[langcache.plugins]\nfast = stranger\n")
    (site / "stranger.py").write_text(_FAILING.format(kind=""))
    said = "The plugin 'fast' fails in langcache_{}transport, asked for {!r}: RuntimeError: no hardware for this"
    settings = {"LANGCACHE_PLUGINS": "fast", "LANGCACHE_SERVER_URL": "embedded://", "LANGCACHE_CACHE_ID": "c"}
    told = doctor(site, **settings)
    assert told.status == 1
    [warning] = told.warnings
    assert said.format("", "embedded") in warning
    (site / "stranger.py").write_text(_FAILING.format(kind="async_"))
    told = doctor(site, **settings)
    assert f"async calls: none, they cannot be opened: {said.format('async_', 'embedded')}" in told.text
    assert told.line("search") == "answered"
