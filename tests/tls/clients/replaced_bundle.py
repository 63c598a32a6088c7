"""The file of authorities is another one for each context: replaced_bundle.py GOOD BAD PATH URL."""
import shutil
import ssl
import sys
import os
import urllib.request

good, bad, path, url = sys.argv[1:]
for number, source in enumerate([good, good, bad, good, bad, bad, good]):
    if number % 2:
        shutil.copyfile(source, path)
    else:
        shutil.copyfile(source, path + ".new")
        os.rename(path + ".new", path)
    context = ssl.create_default_context(cafile=path)
    print(number, len(context.get_ca_certs()), context.cert_store_stats())
    for other in context, ssl.create_default_context(cafile=path):
        try:
            print(len(urllib.request.urlopen(url, context=other).read()))
        except Exception as error:
            print(error)
