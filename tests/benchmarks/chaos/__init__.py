"""The chaos soak: what a client makes of a service of which about 30 % of all exchanges go wrong.

``python -m tests.benchmarks.chaos`` runs for two minutes, prints a table, and ends with status 1 where a call took
more than 50 ms longer than its deadline, a connection, a thread or a file was left behind, a set was sent twice, an
answer was another call's, or an outage was made worse by repetitions. The server is a process of its own.

The machine is late too. The time in which a call's thread, or every thread of the process, could have run and was
given no core by the system is not counted as the client's; the table says how many calls that excused. It also says
how late sleepers woke up meanwhile, one in the process and one in a process that does nothing else. Only Linux tells
of a thread how long it waited for a core.
"""
