/*
 * libcurl under settings that change: matrix_curl FOLDER HOST PORT, with steps on standard input, a line each:
 * `LABEL|KEY=VALUE;...`. See matrix.py. An easy handle for each step; `shared=1` takes one for all such steps.
 */
#include <curl/curl.h>
#include <stdlib.h>

#include "tests/tls/clients/steps.h"

static void set_file(CURL *curl, CURLoption option, const char *name, const char *suffix)
{
	curl_easy_setopt(curl, option, file(name, suffix));
}

static void set(CURL *curl)
{
	const char *value;

	set_file(curl, CURLOPT_CAINFO, get("ca") ? get("ca") : "ca.pem", "");
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, is("verify", "none") ? 0L : 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, is("verify", "none") || is("check", "no") ? 0L : 2L);
	if ((value = get("crl")))
		set_file(curl, CURLOPT_CRLFILE, value, "");
	if ((value = get("only")))
		curl_easy_setopt(curl, CURLOPT_SSLVERSION,
				 strcmp(value, "1.2") == 0 ? CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2
							   : CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3);
	if ((value = get("ciphers")))
		curl_easy_setopt(curl, CURLOPT_SSL_CIPHER_LIST, value);
	if ((value = get("suites")))
		curl_easy_setopt(curl, CURLOPT_TLS13_CIPHERS, value);
	if ((value = get("groups")))
		curl_easy_setopt(curl, CURLOPT_SSL_EC_CURVES, value);
	if ((value = get("pin")))
		curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, value);
	if ((value = get("certificate"))) {
		set_file(curl, CURLOPT_SSLCERT, value, ".pem");
		set_file(curl, CURLOPT_SSLKEY, value, ".key");
	}
	if (is("alpn", "no"))
		curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
	if (is("sessions", "no"))
		curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (get("staple"))
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYSTATUS, 1L);
	if (get("info"))
		curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
	(void)data;
	return fwrite(bytes, size, n, stdout) * size;
}

static void step(CURL *curl, const char *host, const char *port)
{
	const char *name = get("name") ? get("name") : "localhost";
	struct curl_slist *resolved = NULL, *fields;
	struct curl_certinfo *info = NULL;
	char url[512], error[CURL_ERROR_SIZE] = "";
	long verdict = -1;

	curl_easy_reset(curl);
	snprintf(url, sizeof(url), "%s:%s:%s", name, port, host);
	resolved = curl_slist_append(NULL, url);
	fields = curl_slist_append(NULL, "Connection: close");
	snprintf(url, sizeof(url), "https://%s:%s/bytes/20", name, port);
	curl_easy_setopt(curl, CURLOPT_RESOLVE, resolved);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	set(curl);
	CURLcode code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &verdict);
	printf(" code %d %s, verdict %ld", code, error, verdict);
	if (get("info") && !curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info))
		printf(", %d certificates", info->num_of_certs);
	printf("\n");
	curl_slist_free_all(resolved);
	curl_slist_free_all(fields);
}

int main(int argc, char **argv)
{
	CURL *shared;

	if (argc != 4)
		return 2;
	curl_global_init(CURL_GLOBAL_ALL);
	folder = argv[1];
	shared = curl_easy_init();
	while (next_step()) {
		CURL *curl = get("shared") ? shared : curl_easy_init();

		step(curl, argv[2], argv[3]);
		if (curl != shared)
			curl_easy_cleanup(curl);
	}
	curl_easy_cleanup(shared);
	curl_global_cleanup();
	return 0;
}
