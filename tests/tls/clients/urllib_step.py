"""urllib, step by step, in one process: urllib_step.py CA STEP... A step is a URL to fetch, `until:TIME` to wait for
that time, or `run:COMMAND` for the shell."""
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

for step in sys.argv[2:]:
    if step.startswith("until:"):
        time.sleep(max(0, float(step[6:]) - time.time()))
    elif step.startswith("run:"):
        subprocess.run(step[4:], shell=True, check=True)
    else:
        try:
            with urllib.request.urlopen(step, context=ssl.create_default_context(cafile=sys.argv[1])) as answer:
                print(answer.read())
        except (OSError, urllib.error.URLError) as error:
            print("refused:", error)
