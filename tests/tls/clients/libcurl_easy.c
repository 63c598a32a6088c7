/* libcurl, an easy handle for each request: libcurl_easy CA URL... */
#include <curl/curl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	curl_global_init(CURL_GLOBAL_ALL);
	for (int i = 2; i < argc; i++) {
		CURL *curl = curl_easy_init();
		CURLcode code;

		curl_easy_setopt(curl, CURLOPT_URL, argv[i]);
		curl_easy_setopt(curl, CURLOPT_CAINFO, argv[1]);
		code = curl_easy_perform(curl);
		if (code)
			printf("%s\n", curl_easy_strerror(code));
		curl_easy_cleanup(curl);
	}
	curl_global_cleanup();
	return 0;
}
