//go:build linux

package mover_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda/cudatest"
)

// stranger is a process that talks to a mover as no agent does.
type stranger struct {
	*world
	conn *net.UnixConn
	cmd  *exec.Cmd
}

func (w *world) stranger() *stranger {
	w.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "mover")
	ours := os.NewFile(uintptr(fds[0]), "agent")
	c, err := net.FileConn(ours)
	if err != nil {
		w.Fatal(err)
	}
	_ = ours.Close()
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	s := &stranger{world: w, conn: c.(*net.UnixConn), cmd: exec.Command(self, "mover", "--device", w.gpu.UUID().String())}
	s.cmd.ExtraFiles = []*os.File{theirs}
	s.cmd.Stderr = &logged{w.TB}
	if err := s.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	_ = theirs.Close()
	if hello := s.read(); !strings.Contains(hello, `"hello"`) {
		w.Fatalf("the mover says %s", hello)
	}
	return s
}

// read returns the JSON of the next frame, empty at the end.
func (s *stranger) read() string {
	s.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.Fatal(err)
	}
	var header [4]byte
	if _, err := io.ReadFull(s.conn, header[:]); err != nil {
		return ""
	}
	body := make([]byte, binary.BigEndian.Uint32(header[:]))
	if _, err := io.ReadFull(s.conn, body); err != nil {
		s.Fatal(err)
	}
	return string(body)
}

// send sends frames in one write, as fast as it can be.
func (s *stranger) send(files []*os.File, frames ...string) {
	s.Helper()
	var b []byte
	for _, f := range frames {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := s.conn.WriteMsgUnix(b, rights, nil); err != nil {
		s.Fatal(err)
	}
}

// end waits for the end of the mover, which is that of an orderly process.
func (s *stranger) end(code int) {
	s.Helper()
	for s.read() != "" {
	}
	_ = s.conn.Close()
	_ = s.cmd.Wait() // ProcessState says the same
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.Errorf("the mover ends with %s, want code %d", s.cmd.ProcessState, code)
	}
}

// TestStrangerFake says what no agent says.
func TestStrangerFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	copies := func(id int, more bool) string {
		return fmt.Sprintf(`{"id":%d,"type":"copy","copies":[[1,0,8,2,0,0]],"more":%v}`, id, more)
	}
	for what, frames := range map[string][]string{
		"no JSON":         {`}`},
		"nothing":         {``},
		"an unknown type": {`{"id":1,"type":"format"}`},
		"a hello":         {`{"type":"hello"}`},
		"two jobs":        {copies(1, true), copies(2, true)},
		"running ahead":   {copies(1, true), copies(1, true), copies(1, true), copies(1, true), copies(1, true), copies(1, true), copies(1, true), copies(1, true)},
		"a huge frame":    {strings.Repeat(" ", 2<<20)},
		"negative sizes":  {`{"id":1,"type":"copy","copies":[[1,-1,8,2,0,0]]}`},
		"huge numbers":    {`{"id":1,"type":"copy","copies":[[1,0,18446744073709551616,2,0,0]]}`},
		"text for fields": {`{"id":1,"type":"pin","memory":"one"}`},
	} {
		t.Run(what, func(t *testing.T) {
			w := &world{TB: t, fake: w.fake, gpu: w.gpu}
			if what == "running ahead" || what == "two jobs" {
				w.fake.Reset("@mover:cuEventCreate:1+=hang") // before it can do a job
				defer w.fake.Reset("")
			}
			s := w.stranger()
			if what == "a huge frame" {
				var header [4]byte
				binary.BigEndian.PutUint32(header[:], 2<<20)
				if _, err := s.conn.Write(header[:]); err != nil {
					t.Fatal(err)
				}
			} else {
				s.send(nil, frames...)
			}
			s.end(1)
		})
	}
}

// TestStrangerRefusedFake asks for what is refused, one after the other, and then
// goes away.
func TestStrangerRefusedFake(t *testing.T) {
	w := newWorld(t, cudatest.Options{})
	s := w.stranger()
	slab, err := w.createSlab(1, 2*mib)()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slab.Close() }()
	memory := w.segment(1, 2*mib).file
	for i, ask := range []struct {
		frame string
		files []*os.File
	}{
		{`"type":"segment","memory":1,"size":2097152`, nil},
		{`"type":"segment","memory":1,"size":2097152`, []*os.File{memory, memory}},
		{`"type":"segment","memory":1,"size":4194304`, []*os.File{memory}},
		{`"type":"segment","memory":1,"size":-4096`, []*os.File{memory}},
		{`"type":"segment","memory":1,"size":100`, []*os.File{memory}},
		{`"type":"segment","memory":1,"size":9223372036854775807`, []*os.File{memory}},
		{`"type":"slab","memory":1,"size":2097152`, nil},
		{`"type":"slab","memory":1,"size":2097152`, []*os.File{memory}},
		{`"type":"slab","memory":1,"size":-2097152`, []*os.File{slab}},
		{`"type":"slab","memory":1,"size":100`, []*os.File{slab}},
		{`"type":"slab","memory":1,"size":4194304`, []*os.File{slab}},
		{`"type":"pin","memory":1,"offset":0,"length":4096`, nil},
		{`"type":"copy","copies":[[1,0,8,2,0,0]]`, nil},
		{`"type":"sum","ranges":[[1,0,8]]`, nil},
		{`"type":"sum","ranges":[` + strings.TrimSuffix(strings.Repeat("[1,0,8],", 5000), ",") + `]`, nil},
		{`"type":"copy","copies":[` + strings.TrimSuffix(strings.Repeat("[1,0,8,2,0,0],", 5000), ",") + `]`, nil},
	} {
		s.send(ask.files, fmt.Sprintf(`{"id":%d,%s}`, i+1, ask.frame))
		answer := s.read()
		for strings.Contains(answer, `"type":"taken"`) || strings.Contains(answer, `"type":"moved"`) {
			answer = s.read()
		}
		if !strings.HasPrefix(answer, fmt.Sprintf(`{"id":%d,"type":"answer"`, i+1)) || !strings.Contains(answer, `"error"`) || strings.Contains(answer, `"fatal"`) {
			t.Errorf("%.80s: %s", ask.frame, answer)
		}
	}
	// What ends what there is not is done already, and so is a job of long ago.
	s.send(nil, `{"id":90,"type":"unpin","memory":1}`, `{"id":91,"type":"drop","memory":1}`, `{"id":92,"type":"forget","memory":1}`,
		`{"id":7,"type":"copy","more":true}`, `{"id":3,"type":"cancel"}`)
	for range 3 {
		if answer := s.read(); strings.Contains(answer, `"error"`) {
			t.Error(answer)
		}
	}
	if err := s.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	s.end(0)
}
