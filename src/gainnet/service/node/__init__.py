"""A node of a plan as a process: the frames of the device protocol, the walk of one node, edges that join, the device.

    device  ==frames over WebSocket==>  edge  ==the same frames over TLS==>  edges that have joined

Every node makes the same plan of the same configuration and walks it; no process conducts the others. The bytes are
documented in docs/device-protocol.md.
"""
