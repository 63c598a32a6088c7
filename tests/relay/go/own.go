// A server that is its own client: own ADDRESS:PORT [URL] prints how many connections it has seen for five requests of
// its own, and then for five of a child, and asks that URL as often. own URL is that child.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
)

func ask(url string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := 0; i < 5; i++ {
		response, err := client.Get(url)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func main() {
	var connections int32

	if strings.HasPrefix(os.Args[1], "http") {
		ask(os.Args[1])
		return
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	server := http.Server{Handler: http.NotFoundHandler(), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			atomic.AddInt32(&connections, 1)
		}
	}}
	go server.Serve(listener)
	url := "http://" + listener.Addr().String() + "/"
	ask(url)
	fmt.Println("by itself", atomic.SwapInt32(&connections, 0))
	if err := exec.Command(os.Args[0], url).Run(); err != nil {
		panic(err)
	}
	fmt.Println("by a child", atomic.LoadInt32(&connections))
	if len(os.Args) > 2 {
		ask(os.Args[2])
	}
}
