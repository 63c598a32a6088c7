// The program of the document that this project began with: 50 requests over short connections, then 50 over long ones,
// with net/http and the document's settings. The first half asks for a connection each, and closes bodies unread.
//
// document URL REQUESTS [HALF]: prints for each half how many requests succeeded, and microseconds for one, on stderr.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func transport(short bool) *http.Transport {
	return &http.Transport{
		DialContext: (&net.Dialer{
			Timeout:   30 * time.Second,
			KeepAlive: 60 * time.Second,
		}).DialContext,
		MaxIdleConns:          500,
		IdleConnTimeout:       60 * time.Second,
		ExpectContinueTimeout: 30 * time.Second,
		MaxIdleConnsPerHost:   100,
		DisableKeepAlives:     short,
	}
}

func half(name, url string, n int, short bool) bool {
	client := &http.Client{Transport: transport(short)}
	good := 0
	begin := time.Now()
	for i := 0; i < n; i++ {
		response, err := client.Get(url)
		if err != nil {
			fmt.Println(name, i, err)
			continue
		}
		if !short {
			_, err = io.Copy(io.Discard, response.Body)
		}
		response.Body.Close()
		if err == nil && response.StatusCode == 200 {
			good++
		}
	}
	fmt.Println(name, good)
	fmt.Fprintln(os.Stderr, name, time.Since(begin).Microseconds()/int64(n))
	client.CloseIdleConnections()
	return good == n
}

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		os.Exit(2)
	}
	only := ""
	if len(os.Args) > 3 {
		only = os.Args[3]
	}
	good := true
	if only != "long" {
		good = half("short", os.Args[1], n, true) && good
	}
	if only != "short" {
		good = half("long", os.Args[1], n, false) && good
	}
	if !good {
		os.Exit(1)
	}
}
