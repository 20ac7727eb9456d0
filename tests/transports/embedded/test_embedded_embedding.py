"""The likeness of prompts: what the measure promises, and the table of questions that its threshold comes from."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache_transports.embedded import DEFAULT_THRESHOLD, embed, similarity

from .calls import unhurried

MARGIN = 0.01
"""How far from the threshold each pair of the table is at the least: 0.02 of the cosine."""

REWORDINGS = [
    ("How does semantic caching work?", "how do semantic caches work"),
    ("What is the capital of France?", "Which city is the capital of France?"),
    ("How do I reset my password?", "How can I reset the password?"),
    ("How do I reset my password?", "resetting my password"),
    ("How long does shipping take?", "How long will the shipping take to arrive?"),
    ("Can I cancel my subscription?", "How do I cancel my subscription?"),
    ("What is your refund policy?", "Tell me about the refund policy"),
    ("How do I install Python on Windows?", "installing python on windows"),
    ("What\u2019s the difference between TCP and UDP?", "Explain the difference between TCP and UDP"),
    ("How many planets are in the solar system?", "What is the number of planets in our solar system?"),
    ("What's the boiling point of water?", "At what temperature is the boiling point of water?"),
    ("Do you ship to Canada?", "Is shipping to Canada possible?"),
    ("What causes earthquakes?", "What is the cause of an earthquake?"),
    ("What is photosynthesis?", "Can you explain photosynthesis to me?"),
    ("How do I undo the last git commit?", "git: undo last commit"),
    ("What time does the store close on Sunday?", "Sunday closing time of the store"),
    ("What is the meaning of the word ubiquitous?", "Meaning of ubiquitous"),
    ("Why is the sky blue?", "what makes the sky blue"),
    ("How can I improve my sleep?", "How do I improve sleep quality?"),
    ("Who painted the Mona Lisa?", "The Mona Lisa was painted by whom?"),
    ("How do I read a file in Java?", "reading files in Java"),
    ("Do I need a visa for Japan?", "Is a visa needed for Japan?"),
]

DIFFERENT_QUESTIONS = [
    ("What is the capital of France?", "What is the capital of Germany?"),
    ("What is the capital of France?", "What is the population of France?"),
    ("How do I reset my password?", "How do I change my email address?"),
    ("How long does shipping take?", "How much does shipping cost?"),
    ("Can I cancel my subscription?", "Can I renew my subscription?"),
    ("How do I install Python on Windows?", "How do I install Python on Linux?"),
    ("How do I install Python on Windows?", "How do I uninstall Python on Windows?"),
    ("What is the boiling point of water?", "What is the freezing point of water?"),
    ("How do I merge two dictionaries in Python?", "How do I merge two lists in Python?"),
    ("How tall is Mount Everest?", "How old is Mount Everest?"),
    ("How do I learn C?", "How do I learn C++?"),
    ("How do I learn C?", "How do I learn C#?"),
    ("Who won the World Cup in 2018?", "Who won the World Cup in 2022?"),
    ("Convert 10 miles to km", "Convert 15 miles to km"),
    ("Is coffee bad for your health?", "Is coffee good for your health?"),
    ("Translate hello into French", "Translate hello into Spanish"),
    ("What time does the store close on Sunday?", "What time does the store open on Sunday?"),
    ("When does the next train to Boston leave?", "When does the next train to Chicago leave?"),
    ("How do I enable dark mode?", "How do I disable dark mode?"),
    ("How do I export a report to PDF?", "How do I export a report to Excel?"),
    ("Why is the sky blue?", "Why is the sea blue?"),
    ("What is photosynthesis?", "How does semantic caching work?"),
]

MISSED_REWORDINGS = [
    ("How do I purchase a car?", "How do I buy an automobile?"),
    ("Who wrote Romeo and Juliet?", "Who was the writer of Romeo and Juliet?"),
    ("How do I reset my password?", "how do i reset my pasword"),
]

UNSEEN_DIFFERENCES = [
    (
        "Write a polite letter to my landlord about the broken heating in the kitchen",
        "Write a polite letter to my landlord about the broken heating in the bathroom",
    ),
    (
        "Can I safely take ibuprofen together with paracetamol on an empty stomach?",
        "Can I safely take ibuprofen together with paracetamol on a full stomach?",
    ),
    ("Convert miles to kilometres", "Convert kilometres to miles"),
]

TEXT = st.text(max_size=200)


def alike(one: str, other: str) -> float:
    return similarity(embed(one), embed(other))


@pytest.mark.parametrize("pair", REWORDINGS)
def test_a_reworded_question_is_above_the_default_threshold(pair: tuple[str, str]) -> None:
    assert alike(*pair) >= DEFAULT_THRESHOLD + MARGIN


@pytest.mark.parametrize("pair", DIFFERENT_QUESTIONS)
def test_a_different_question_is_below_the_default_threshold(pair: tuple[str, str]) -> None:
    assert alike(*pair) <= DEFAULT_THRESHOLD - MARGIN


@pytest.mark.parametrize("pair", MISSED_REWORDINGS)
def test_what_is_not_seen_as_documented_synonyms_irregular_forms_and_misspellings(pair: tuple[str, str]) -> None:
    assert alike(*pair) < DEFAULT_THRESHOLD


@pytest.mark.parametrize("pair", UNSEEN_DIFFERENCES)
def test_what_is_not_told_apart_as_documented_one_word_among_many_and_their_order(pair: tuple[str, str]) -> None:
    assert alike(*pair) > DEFAULT_THRESHOLD


@unhurried
@given(TEXT)
def test_a_prompt_is_exactly_like_itself(text: str) -> None:
    assert alike(text, text) == 1.0


@unhurried
@given(TEXT, TEXT)
def test_likeness_is_from_0_to_1_and_the_same_both_ways(one: str, other: str) -> None:
    assert 0.5 <= alike(one, other) <= 1
    assert alike(one, other) == alike(other, one)


@unhurried
@given(TEXT)
def test_a_vector_has_length_one_and_no_negative_weight(text: str) -> None:
    vector = embed(text)
    assert math.isclose(math.hypot(*vector.values()), 1)
    assert min(vector.values()) > 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is Redis", "what is REDIS?!"),
        ("Caf\u00e9 opening hours", "cafe\u0301 opening hours"),
        ("Redis \uff12\uff10\uff12\uff14", "redis 2024"),
        ("It isn't open", "it isn\u2019t open"),
    ],
)
def test_case_punctuation_and_the_form_of_characters_make_no_difference(one: str, other: str) -> None:
    assert alike(one, other) == 1.0


def test_prompts_that_share_nothing_come_to_one_half() -> None:
    assert alike("purple elephants", "tax forms") == 0.5


def test_prompts_without_a_word_are_alike_only_where_they_are_equal() -> None:
    assert alike("?!", "?!") == 1.0
    assert alike("?!", "...") == 0.5
    assert alike(" ", "?") == 0.5


def test_emoji_are_words() -> None:
    assert alike("\U0001f600", "\U0001f600!") == 1.0
    assert alike("\U0001f600", "\U0001f4a9") < DEFAULT_THRESHOLD


def test_a_vector_is_the_same_in_every_process() -> None:
    """Python salts the hashes of strings anew in each process, and sets are ordered by them."""
    program = "from langcache_transports.embedded import embed; print(embed('How does semantic caching work?'))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{embed('How does semantic caching work?')}\n"}
