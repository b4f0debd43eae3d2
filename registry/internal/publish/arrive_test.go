package publish_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestUploadCutOff goes away in the middle of an upload that takes all the room there
// is, again and again.
func TestUploadCutOff(t *testing.T) {
	w := newWorld(t, 1)
	w.create()
	b := noise(8, spool)
	href := w.batch(`"basic"`, b).field("objects", "0", "actions", "upload", "href")
	address := strings.TrimPrefix(w.servers[0].URL, "http://")
	for range 3 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		path := href[strings.Index(href, address)+len(address):]
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", path, address, len(b))
		if _, err := conn.Write(b[:len(b)/2]); err != nil {
			t.Fatal(err)
		}
		// The server answers before it gives up the connection, and by then has given the
		// room back.
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("half an upload is answered with %d", resp.StatusCode)
		}
		_ = conn.Close()
	}
	if w.has(b) {
		t.Error("half an upload is kept")
	}
	w.want("the whole", w.as("", "PUT", href, string(b)), 200, "")
}

// TestUploadTwice uploads one file several times at once, to several replicas.
func TestUploadTwice(t *testing.T) {
	w := newWorld(t, 2)
	w.create()
	b := noise(9, 50_000)
	href := w.batch(`"basic"`, b).field("objects", "0", "actions", "upload", "href")
	var group sync.WaitGroup
	for i := range 6 {
		v := *w
		v.turn = i
		group.Go(func() {
			if r := v.as("", "PUT", href, string(b)); r.status != 200 {
				t.Errorf("upload %d: %d %s", i, r.status, r.body)
			}
		})
	}
	group.Wait()
	w.want("commit", w.commit(header(""), lfsFile("w", b)), 200, "")
	w.read("main", "w", b)
}
