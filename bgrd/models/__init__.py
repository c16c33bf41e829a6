"""What differs between models is a row; what runs them is one session.

What is known, and how a model is fed:

    row, catalogue      every model bgrd knows by name
    spec                what a model wants in and gives out
    anatomy             what a file says of itself, without a library

What brings a file into the models' directory; commands only, the daemon never fetches:

    pull                a model of the catalogue
    address             where its file can be had
    connection, fetch   one source over HTTP; all of them in turn
    partial             the file while it comes
    add                 a file of the user's
    quantize, widen     an int8 variant of an installed model; what of its graph is changed for that
    shelf, index        putting files there and removing them; the record of what is there

What is there:

    inventory           every model, and whether it is whole
    store               which file a name means, or how to come by it

What runs it, in a lane or in a process that lanes share:

    providers           what it runs on
    runner              what the pipeline needs of it
    session, trial      the model in memory; its first run, held against the spec
    several             whether pictures may go through it together
"""
