"""Restart the kernel of a notebook while its build is at work, as a user does, and run all cells again.

Arguments: the notebook, and what the first cell is to say instead for the second run. Prints what both printed.
"""
import json
import sys
import time

from jupyter_client.manager import start_new_kernel

# The machine may be running other tests.
PATIENCE_S = 300

cells = [cell for cell in json.load(open(sys.argv[1]))["cells"] if cell["cell_type"] == "code"]
settings, rest = ("".join(cell["source"]) for cell in cells)
manager, client = start_new_kernel(kernel_name="python3", startup_timeout=PATIENCE_S)


def told(source, until=None):
    """What a cell says, to its end or until something has been said."""
    request = client.execute(source)
    text = ""
    while True:
        message = client.get_iopub_msg(timeout=PATIENCE_S)
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        text += content.get("text", "") + "\n".join(content.get("traceback", []))
        text += content.get("data", {}).get("text/plain", "") + "\n"
        idle = message["msg_type"] == "status" and content["execution_state"] == "idle"
        if idle if until is None else until in text:
            return text


told(settings)
print(told(rest, until="A server was started"))
manager.restart_kernel()
client.wait_for_ready(timeout=PATIENCE_S)
told(sys.argv[2])
print(told(rest))
client.stop_channels()
manager.shutdown_kernel()
