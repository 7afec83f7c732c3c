"""The one-host job launcher behind ``pygas run``.

Modules, lowest first; each imports only from those above it.

=============  ==========================================================================
``protocol``   what launcher and rank say to each other while a job is wired up
``channel``    one rank's boot socket, non-blocking
``wireup``     the state of the wire-up: addresses, fences, who finished
``signals``    signals and wake-ups of the launcher through one pipe
``groups``     process groups: signalling them, finding those with live members
``guard``      the process that outlives a killed launcher and ends its ranks
``files``      the launcher's own file descriptors
``binding``    which cores each rank is bound to
``rank``       starting one rank, and how it ended
``sink``       where output lines go, and keeping them whole
``pump``       the thread that carries output from the ranks' pipes to the sinks
``output``     all output of a job: pumps, sinks, what was shown last
``feed``       the launcher's standard input on its way to rank 0
``ending``     why a job ended, its exit code, and the words for it
``diagnosis``  where the ranks are, and whether anything moves
``job``        the event loop
``command``    the command line of ``pygas run``
=============  ==========================================================================
"""
