"""How fast bgrd is and what it costs, each figure against its target: `python -m bench.speed`.

    targets    what is to be reached, a row each
    figures    what a scenario gets and what it gives
    machine    facts of the machine a run was made on
    pictures   the folder of 32 photos, and single large ones
    networks   topologies of U-2-Netp and IS-Net with random weights
    stand      a daemon in a home of its own, its log read as it grows, a folder worked off
    cost       what processes cost: processor time, wake-ups, memory
    report     the results as JSON and as the README's table
    chart      the results as a picture

and a module for each scenario: folder, peer, scaling, latency, start, idle, backlog, large, memory.
"""
