package fs_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
)

// TestBallast sets room aside, and again after a deletion. What happens on a full disk is tested with a real one, in integration/powercut.
func TestBallast(t *testing.T) {
	const size = 1 << 20
	file := filepath.Join(t.TempDir(), "ballast")
	ballast := fs.Ballast{Path: file, Size: size}
	s, err := fs.Open(t.TempDir(), fs.Options{Ballast: ballast})
	if err != nil {
		t.Fatal(err)
	}
	set := func(when string) {
		var st syscall.Stat_t
		if err := syscall.Stat(file, &st); err != nil || st.Blocks*512 < size {
			t.Errorf("%s: %d bytes are set aside, %v", when, st.Blocks*512, err)
		}
	}
	set("when it is opened")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "c/x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), []string{"c/x"}); err != nil {
		t.Fatal(err)
	}
	set("after a deletion")
	if made, err := ballast.MakeRoom(); made || err != nil {
		t.Errorf("room where there is some: %v, %v", made, err)
	}
}

// TestNoBallast takes none of the room that is held in reserve.
func TestNoBallast(t *testing.T) {
	ballast := fs.Ballast{Path: filepath.Join(t.TempDir(), "ballast"), Size: 1 << 20}
	s, err := fs.Open(t.TempDir(), fs.Options{Reserve: math.MaxInt64 / 2, Exempt: "gl/", Ballast: ballast})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ballast.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ballast in the reserve: %v", err)
	}
	if err := s.Put(t.Context(), "gl/list", []byte("x")); err != nil {
		t.Errorf("what may use the reserve: %v", err)
	}
	if err := s.Put(t.Context(), "c/x", []byte("x")); !errors.Is(err, blobs.ErrNoSpace) {
		t.Errorf("what may not: %v", err)
	}
}
