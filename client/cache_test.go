package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
)

func openCache(t *testing.T, dir string, limit int64) *client.Cache {
	t.Helper()
	c, err := client.OpenCache(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// has reports which of the chunks named for 0 to n-1 are in c.
func has(c *client.Cache, n int) (found []int) {
	for i := range n {
		if b, ok := c.Get(chunker.Sum([]byte{byte(i)}), make([]byte, 0, 100)); ok && len(b) == 100 && b[0] == byte(i) {
			found = append(found, i)
		}
	}
	return found
}

func TestCacheForgetsTheOldest(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, 1000)
	now := time.Now()
	for i := range 20 {
		c.Put(t.Context(), chunker.Sum([]byte{byte(i)}), append([]byte{byte(i)}, make([]byte, 99)...))
		d := chunker.Sum([]byte{byte(i)}).String()
		at := now.Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, d[:2], d), at, at); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if n := len(has(openCache(t, dir, 1000), 20)); n > 12 {
		t.Errorf("%d chunks of 100 bytes in a cache of 1000: want at most an eighth more", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if left := has(c, 20); len(left) != 10 || left[0] != 10 {
		t.Errorf("left are %v, want the newest 10", left)
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, 250)
	c.SetNow(func() time.Time { return time.Now().Add(48 * time.Hour) })
	put := func(i byte) { c.Put(t.Context(), chunker.Sum([]byte{i}), append([]byte{i}, make([]byte, 99)...)) }
	put(0)
	put(1)
	if got := has(c, 1); len(got) != 1 { // touches 0, in two days
		t.Fatalf("got %v", got)
	}
	put(2)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if left := has(c, 3); len(left) != 2 || left[0] != 0 {
		t.Errorf("left are %v, want 0, which was used, and another", left)
	}
}

func TestCacheRefusesLong(t *testing.T) {
	c := openCache(t, t.TempDir(), 1<<20)
	d := chunker.Sum(nil)
	c.Put(t.Context(), d, make([]byte, 1000))
	if _, ok := c.Get(d, make([]byte, 0, 999)); ok {
		t.Error("more bytes than there was room for")
	}
}

func TestCacheNeedsFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "")
	if _, err := client.OpenCache(file, 1); err == nil {
		t.Error("a file is no cache")
	}
	if _, err := client.OpenCache(t.TempDir(), -1); err == nil {
		t.Error("a negative limit was accepted")
	}
}
