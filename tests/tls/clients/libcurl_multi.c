/* libcurl's multi interface over epoll, a handle for each request, one after the other: libcurl_multi CA URL... */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

static int epoll_fd;
static long timeout_ms = -1;

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *data, void *socket_data)
{
	struct epoll_event event = {.data.fd = fd};

	(void)curl, (void)data, (void)socket_data;
	if (what == CURL_POLL_REMOVE)
		return epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL) && 0;
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) && errno == ENOENT)
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *data)
{
	(void)multi, (void)data;
	timeout_ms = ms;
	return 0;
}

int main(int argc, char **argv)
{
	CURLM *multi;
	int n_running = 1;

	curl_global_init(CURL_GLOBAL_ALL);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 2; i < argc; i++, n_running = 1) {
		CURL *curl = curl_easy_init();

		multi = curl_multi_init();
		curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
		curl_easy_setopt(curl, CURLOPT_URL, argv[i]);
		curl_easy_setopt(curl, CURLOPT_CAINFO, argv[1]);
		curl_multi_add_handle(multi, curl);
		while (n_running) {
			struct epoll_event event;
			int n = epoll_wait(epoll_fd, &event, 1,
					   timeout_ms < 0 || timeout_ms > 1000 ? 1000 : (int)timeout_ms);
			int mask = n > 0 ? (event.events & ~EPOLLOUT ? CURL_CSELECT_IN : 0) |
						   (event.events & EPOLLOUT ? CURL_CSELECT_OUT : 0)
					 : 0;

			curl_multi_socket_action(multi, n > 0 ? event.data.fd : CURL_SOCKET_TIMEOUT, mask, &n_running);
		}
		curl_multi_remove_handle(multi, curl);
		curl_easy_cleanup(curl);
		curl_multi_cleanup(multi);
	}
	curl_global_cleanup();
	return 0;
}
