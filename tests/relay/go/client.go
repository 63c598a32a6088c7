// An HTTP client with everything that net/http's offers, by flags: client [FLAG...] URL... Prints a line for each
// request, in the order of their numbers, with all that the program sees of its answer.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

var (
	requests    = flag.Int("n", 1, "requests")
	concurrency = flag.Int("c", 1, "requests at once")
	keep        = flag.Bool("keep", false, "keep connections")
	method      = flag.String("method", "GET", "method")
	size        = flag.Int("body", 0, "bytes of the request's body")
	chunked     = flag.Bool("chunked", false, "a body of unknown length")
	expect      = flag.Bool("expect", false, "Expect: 100-continue")
	trailer     = flag.Bool("trailer", false, "a trailer behind the request's body")
	timeout     = flag.Duration("timeout", 0, "of a request, by its context")
	dialTimeout = flag.Duration("dial-timeout", 30*time.Second, "of a dial")
	cancel      = flag.Int("cancel", -1, "cancel when so many bytes of the answer's body are there")
	unread      = flag.Bool("unread", false, "close bodies unread")
	upgrade     = flag.Bool("upgrade", false, "ask for another protocol, and talk through it")
	slow        = flag.Duration("slow", 0, "pause after each 64 KiB of the answer")
	pause       = flag.Duration("pause", 0, "pause between requests")
	who         = flag.Bool("who", false, "print the connection's remote address")
	quiet       = flag.Bool("quiet", false, "print errors and the number of good answers only")
	timing      = flag.Bool("timing", false, "print microseconds a request on stderr")
	insecure    = flag.Bool("insecure", false, "any certificate of the server")
	proxy       = flag.String("proxy", "", "an HTTP proxy")
)

type slowReader struct{ io.Reader }

func (reader slowReader) Read(p []byte) (int, error) {
	time.Sleep(*slow)
	if len(p) > 65536 {
		p = p[:65536]
	}
	return reader.Reader.Read(p)
}

// Hides the length of what it reads.
type unknown struct{ io.Reader }

func body(request *http.Request) {
	text := bytes.Repeat([]byte("0123456789abcdef"), *size/16+1)[:*size]
	request.Body = io.NopCloser(bytes.NewReader(text))
	request.ContentLength = int64(*size)
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	if *chunked || *trailer {
		request.Body = io.NopCloser(unknown{bytes.NewReader(text)})
		request.ContentLength = -1
		request.GetBody = nil
	}
	if *trailer {
		request.Trailer = http.Header{"X-Behind": {"it"}}
	}
	if *size == 0 && !*chunked && !*trailer {
		request.Body, request.GetBody = nil, nil
	}
}

func fields(header http.Header) string {
	var lines []string
	for name, values := range header {
		if name != "Date" && name != "Keep-Alive" {
			lines = append(lines, name+"="+strings.Join(values, ","))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, ";")
}

func talk(response *http.Response) string {
	stream, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		return fmt.Sprint(response.StatusCode, " no stream")
	}
	defer stream.Close()
	answer := ""
	for _, text := range []string{"hello", "GET / HTTP/1.1\r\n\r\n", "\x00\xff\n"} {
		if _, err := io.WriteString(stream, text); err != nil {
			return err.Error()
		}
		echo := make([]byte, len(text))
		if _, err := io.ReadFull(stream, echo); err != nil {
			return err.Error()
		}
		answer += fmt.Sprintf(" %q", echo)
	}
	return fmt.Sprint(response.StatusCode, answer)
}

func read(response *http.Response, stop context.CancelFunc) string {
	var source io.Reader = response.Body
	if *slow > 0 {
		source = slowReader{source}
	}
	sum := crc32.NewIEEE()
	n := int64(0)
	var err error
	if *cancel >= 0 {
		n, err = io.CopyN(sum, source, int64(*cancel))
		stop()
	}
	if err == nil {
		var more int64
		more, err = io.Copy(sum, source)
		if *cancel < 0 {
			n += more
		}
	}
	result := fmt.Sprintf("%d bytes %08x", n, sum.Sum32())
	if *cancel >= 0 {
		result = fmt.Sprintf("at least %d bytes", n)
	}
	if err != nil {
		result += " error " + err.Error()
	}
	return result
}

func ask(client *http.Client, number int, url string) (string, bool) {
	ctx, stop := context.WithCancel(context.Background())
	if *timeout > 0 {
		ctx, stop = context.WithTimeout(context.Background(), *timeout)
	}
	defer stop()
	remote := ""
	if *who {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			remote = " from " + info.Conn.RemoteAddr().String()
		}})
	}
	request, err := http.NewRequestWithContext(ctx, *method, strings.ReplaceAll(url, "%d", fmt.Sprint(number)), nil)
	if err != nil {
		return err.Error(), false
	}
	body(request)
	if *expect {
		request.Header.Set("Expect", "100-continue")
	}
	if *upgrade {
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "echo")
	}
	response, err := client.Do(request)
	if err != nil {
		return "error " + err.Error() + remote, false
	}
	defer response.Body.Close()
	if *upgrade {
		return talk(response), response.StatusCode == 101
	}
	text := fmt.Sprintf("%s %s length %d %v close %v [%s]%s ", response.Proto, response.Status, response.ContentLength,
		response.TransferEncoding, response.Close, fields(response.Header), remote)
	if *unread {
		return text, true
	}
	text += read(response, stop)
	return text + " {" + fields(response.Trailer) + "}", !strings.Contains(text, " error ")
}

// TLS and proxies.
func further(transport *http.Transport) {
	if *insecure {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	if *proxy != "" {
		address, err := url.Parse(*proxy)
		if err != nil {
			os.Exit(2)
		}
		transport.Proxy = http.ProxyURL(address)
	}
}

func main() {
	flag.Parse()
	transport := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: *dialTimeout}).DialContext,
		DisableKeepAlives: !*keep,
		MaxIdleConns:      500, MaxIdleConnsPerHost: 100,
		ExpectContinueTimeout: 2 * time.Second,
	}
	further(transport)
	client := &http.Client{Transport: transport}
	lines := make([]string, *requests)
	good := 0
	numbers := make(chan int)
	var workers sync.WaitGroup
	var lock sync.Mutex
	begin := time.Now()
	for i := 0; i < *concurrency; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range numbers {
				line, ok := ask(client, number, flag.Arg(number%flag.NArg()))
				lock.Lock()
				lines[number] = line
				if ok {
					good++
				}
				lock.Unlock()
				time.Sleep(*pause)
			}
		}()
	}
	for i := 0; i < *requests; i++ {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
	taken := time.Since(begin)
	for number, line := range lines {
		if !*quiet || strings.Contains(line, "error ") {
			fmt.Println(number, line)
		}
	}
	fmt.Println("good", good)
	if *timing {
		fmt.Fprintln(os.Stderr, float64(taken.Microseconds())/float64(*requests))
	}
}
