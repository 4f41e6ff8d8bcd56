"""The edge as a server: real processes that run the plans of `protocols` for people and their devices.

    device ==frames==> node ==> engine: one batch a tick over all requests ==> node ==frames==> device
    client ==HTTP==> doors ==> journal ==> engine ==> journal ==HTTP==> client

Rooms: `engine` runs the model's passes of all requests together, `journal` keeps accepted requests over a kill, `http`
is the face to clients, `node` walks the steps of one node of a plan, `page` serves the built page,
`provenance` signs pictures, `replicas` makes one edge of several processes.
"""
