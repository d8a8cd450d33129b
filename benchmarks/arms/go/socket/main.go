// The floor in Go: a bare TLS socket with an open watch that only stamps. Its twin is ../../programs/control_socket.py.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"regexp"

	"benchmarks/arms/line"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

var meta = regexp.MustCompile(`"metadata":{"name":"([^"]*)".*?"resourceVersion":"(\d+)"`)

func main() {
	connection := dial()
	token := read("token")
	fmt.Fprintf(connection, "GET /apis/discovery.k8s.io/v1/namespaces/%s/endpointslices?watch=1&allowWatchBookmarks=true"+
		"&labelSelector=kubernetes.io/service-name=%s HTTP/1.1\r\nHost: kubernetes\r\nAuthorization: Bearer %s\r\n"+
		"Accept: application/json\r\n\r\n", os.Getenv("BENCH_NAMESPACE"), os.Getenv("BENCH_SERVICE"), token)
	buffer := make([]byte, 256*1024)
	var rest []byte
	slices, sum := map[string]int{}, 0
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			panic(err)
		}
		now := line.Now()
		rest = append(rest, buffer[:count]...)
		// A line is one event; only a complete one counts, for no client can use half of it.
		if bytes.IndexByte(buffer[:count], '\n') < 0 {
			continue
		}
		end := bytes.LastIndexByte(rest, '\n')
		for _, event := range bytes.Split(rest[:end], []byte("\n")) {
			found := meta.FindSubmatch(event)
			if found == nil || bytes.Contains(event, []byte(`"type":"BOOKMARK"`)) {
				continue
			}
			count := bytes.Count(event, []byte(`"addresses":`))
			sum += count - slices[string(found[1])]
			slices[string(found[1])] = count
			line.Tell(now, string(found[2]), sum)
		}
		rest = append(rest[:0], rest[end+1:]...)
	}
}

func dial() net.Conn {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM([]byte(read("ca.crt")))
	at := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	connection, err := tls.Dial("tcp", at, &tls.Config{RootCAs: authorities})
	if err != nil {
		panic(err)
	}
	return connection
}

func read(name string) string {
	content, err := os.ReadFile(account + name)
	if err != nil {
		panic(err)
	}
	return string(content)
}
