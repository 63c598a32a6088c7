"""Threads that make requests of different kinds at once: threads_mixed.py CA THREADS N URL... Prints what each thread
got, in the threads' order."""
import hashlib
import http.client
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

ca, n_threads, n, urls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
results = [None] * n_threads


def make_context(kind):
    context = ssl.create_default_context(cafile=ca)
    if kind == 1:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    elif kind == 2:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(url, body, context):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
    connection.request("POST", "/echo", body)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def work(thread):
    digest = hashlib.sha256()
    for number in range(n):
        url = urls[(thread + number) % len(urls)]
        context = make_context((thread + number) % 4)
        if number % 7 == 3:
            digest.update(post(url, b"%d of %d" % (number, thread), context))
        else:
            with urllib.request.urlopen(url, context=context) as answer:
                digest.update(answer.read())
    results[thread] = digest.hexdigest()


threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for number, result in enumerate(results):
    print(number, result)
