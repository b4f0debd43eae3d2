package ptx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// lengths end everywhere within a step of a kernel, and once beyond many of them.
var lengths = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 255, 1000, 65537}

var arguments = map[string]int{NameMerge2: 4, NameMergeBF16: 4, NameDelta16: 4, NameSum64: 3}

func TestSourceDeclares(t *testing.T) {
	entry := regexp.MustCompile(`(?s)\.visible \.entry (\w+)\((.*?)\)`)
	found := map[string]int{}
	for _, m := range entry.FindAllStringSubmatch(string(Source()), -1) {
		found[m[1]] = strings.Count(m[2], ".param .u64 ")
		if n := strings.Count(m[2], ".param "); n != found[m[1]] {
			t.Errorf("%s has %d arguments, %d of them of 64 bits", m[1], n, found[m[1]])
		}
	}
	for name, n := range arguments {
		if found[name] != n {
			t.Errorf("%s: the PTX declares %d arguments, want %d", name, found[name], n)
		}
	}
	if len(found) != len(arguments) {
		t.Errorf("the PTX declares %v, the package names %d kernels", found, len(arguments))
	}
	for _, line := range []string{".version 6.4\n", ".target sm_75\n", ".address_size 64\n"} {
		if !bytes.Contains(Source(), []byte(line)) {
			t.Errorf("the PTX has no line %q", line)
		}
	}
	if bytes.IndexByte(Source(), 0) >= 0 {
		t.Error("the PTX has a zero byte")
	}
}

// TestSourceCurrent makes the PTX anew, where the compiler is that made it.
func TestSourceCurrent(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		needtest.Skip(t, "clang-19", err)
	}
	out := filepath.Join(t.TempDir(), "kernels.ptx")
	if msg, err := exec.Command("kernels/make.sh", clang, out).CombinedOutput(); err != nil {
		t.Fatalf("make.sh: %v\n%s", err, msg)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, Source()) {
		t.Error("kernels.ptx is not what kernels.c gives: run make ptx")
	}
}

// TestTwins compares each twin with its kernel's C, compiled for the host.
func TestTwins(t *testing.T) {
	program := compile(t)
	random := rand.NewChaCha8([32]byte{1})
	run := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // it never fails
		return b
	}
	for _, n := range lengths {
		low, high := run(n), run(n)
		dst := make([]byte, 2*n)
		Merge2(dst, low, high)
		same(t, program, NameMerge2, n, dst, low, high)
		MergeBF16(dst, low, high)
		same(t, program, NameMergeBF16, n, dst, low, high)

		base, delta := run(2*n), run(2*n)
		Delta16(dst, base, delta)
		same(t, program, NameDelta16, n, dst, base, delta)

		same(t, program, NameSum64, n, le.AppendUint64(nil, Sum64(base[:n])), base[:n])
	}
}

// same runs a kernel over from and compares what it writes with want.
func same(t *testing.T, program, kernel string, n int, want []byte, from ...[]byte) {
	t.Helper()
	var in bytes.Buffer
	for _, b := range from {
		in.Write(b)
		in.Write(bytes.Repeat([]byte{0xee}, (8-len(b)%8)%8)) // what no kernel may read
	}
	for _, threads := range []int{1, 7, 64} {
		cmd := exec.Command(program, kernel, fmt.Sprint(n), fmt.Sprint(threads))
		cmd.Stdin = bytes.NewReader(in.Bytes())
		got, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s of %d by %d threads: %v", kernel, n, threads, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s of %d by %d threads: the C and the twin differ", kernel, n, threads)
		}
	}
}

// compile returns a program that runs the kernels' C.
func compile(t *testing.T) string {
	cc, err := exec.LookPath("cc")
	if err != nil {
		needtest.Skip(t, "cc", err)
	}
	program := filepath.Join(t.TempDir(), "twin")
	cmd := exec.Command(cc, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Ikernels", "-o", program, "testdata/twin.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestDelta16Undoes takes deltas as an encoder would and wants the elements back, for
// every difference there is.
func TestDelta16Undoes(t *testing.T) {
	const all = 1 << 16
	base, want, delta := make([]byte, 2*all), make([]byte, 2*all), make([]byte, 2*all)
	for i := range all {
		b := uint16(i * 40503)
		d := int16(i)
		le.PutUint16(base[2*i:], b)
		le.PutUint16(want[2*i:], b+uint16(d))
		le.PutUint16(delta[2*i:], uint16(d<<1^d>>15))
	}
	Delta16(base, base, delta)
	if !bytes.Equal(base, want) {
		t.Error("an element is not base plus difference")
	}
}

// TestSum64Value holds the checksum still: sums are compared between versions of ingot.
func TestSum64Value(t *testing.T) {
	b := make([]byte, 21)
	for i := range b {
		b[i] = byte(i)
	}
	for n, want := range map[int]uint64{0: 0, 1: 0x38b2be568b28d394, 8: 0xbfa752010d3c46f5, 21: 0x7a0df5dfcc38d3f6} {
		if got := Sum64(b[:n]); got != want {
			t.Errorf("sum of %d bytes: %#x, want %#x", n, got, want)
		}
	}
}

// TestSum64Sees changes one thing of a run, and wants another sum.
func TestSum64Sees(t *testing.T) {
	b := make([]byte, 80)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b) // it never fails
	sums := map[uint64]string{Sum64(b): "the run"}
	see := func(what string, b []byte) {
		t.Helper()
		sum := Sum64(b)
		if other, seen := sums[sum]; seen {
			t.Errorf("%s has the sum of %s", what, other)
		}
		sums[sum] = what
	}
	for i := range 8 * len(b) {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		see(fmt.Sprintf("bit %d flipped", i), c)
	}
	for i := range 9 {
		c := bytes.Clone(b)
		copy(c[8*i:], b[8*i+8:8*i+16])
		copy(c[8*i+8:], b[8*i:8*i+8])
		see(fmt.Sprintf("words %d and %d swapped", i, i+1), c)
	}
	for n := range len(b) {
		see(fmt.Sprintf("cut to %d", n), b[:n])
	}
	zeros := make([]byte, 64)
	for n := 1; n <= len(zeros); n++ {
		see(fmt.Sprintf("%d zeros", n), zeros[:n])
	}
}

func TestGrid(t *testing.T) {
	for n, want := range map[int64]uint32{0: 1, 1: 1, 1024: 1, 1025: 2, 1 << 40: 2048} {
		if got := Grid(n); got != want {
			t.Errorf("grid over %d: %d, want %d", n, got, want)
		}
	}
}

func BenchmarkSum64(b *testing.B) {
	run := make([]byte, 2<<20)
	binary.LittleEndian.PutUint64(run, 1)
	b.SetBytes(int64(len(run)))
	for b.Loop() {
		Sum64(run)
	}
}
