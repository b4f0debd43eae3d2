package manifest

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Reserved is the folder name that ingot keeps for its own files (partial
// downloads, journals) beside a model's. No path may contain it.
const Reserved = ".ingot"

// CheckPath returns nil when p is safe to create below a folder on any file
// system: relative, slash-separated, NFC, no segment that is empty, ".", "..",
// reserved, or special to Windows. The error matches ErrInvalid.
func CheckPath(p string) error {
	if reason := pathFault(p); reason != "" {
		return fmt.Errorf("path %.120q: %s: %w", p, reason, ErrInvalid)
	}
	return nil
}

// pathFault says what is wrong with p, or nothing.
func pathFault(p string) string {
	switch {
	case p == "":
		return "empty"
	case len(p) > MaxPath:
		return fmt.Sprintf("longer than %d bytes", MaxPath)
	case !utf8.ValidString(p):
		return "not valid UTF-8"
	case p[0] == '/':
		return "not relative"
	case strings.ContainsRune(p, '\\'):
		return "contains a backslash"
	case strings.ContainsRune(p, ':'):
		// A drive or, further on, an alternate stream of another file on Windows.
		return "contains a colon"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "contains a control character"
	case !norm.NFC.IsNormalString(p):
		return "not in Unicode normal form C"
	}
	for segment := range strings.SplitSeq(p, "/") {
		if reason := segmentFault(segment); reason != "" {
			return reason
		}
	}
	return ""
}

func segmentFault(s string) string {
	switch {
	case s == "":
		return "empty segment"
	case s == "." || s == "..":
		return fmt.Sprintf("segment %q", s)
	case len(s) > MaxSegment:
		return fmt.Sprintf("segment longer than %d bytes", MaxSegment)
	case s[len(s)-1] == '.' || s[len(s)-1] == ' ':
		// Windows drops them, so that two paths become one file.
		return fmt.Sprintf("segment %.80q ends in a dot or space", s)
	case strings.EqualFold(s, Reserved):
		return fmt.Sprintf("segment %q is reserved", s)
	case isDevice(s):
		return fmt.Sprintf("segment %.80q is a Windows device", s)
	}
	return ""
}

// isDevice reports whether Windows would open a device for s: the names below,
// in any case and with any extension.
func isDevice(s string) bool {
	base, _, _ := strings.Cut(s, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	digit, ok := strings.CutPrefix(base, "COM")
	if !ok {
		digit, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && utf8.RuneCountInString(digit) == 1 && strings.Contains("0123456789¹²³", digit)
}

// CheckCollisions returns nil when the paths can be made below one folder on any
// file system: none takes two of them or two of their folders for one, and none is
// a file that another needs as a folder. The error matches ErrInvalid.
func CheckCollisions(paths []string) error {
	if err := checkCollisions(paths); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return nil
}

// foldedPath is a path and what it is without case.
type foldedPath struct{ folded, path string }

func checkCollisions(paths []string) error {
	keys := make([]foldedPath, len(paths))
	for i, p := range paths {
		keys[i] = foldedPath{foldPath(p), p}
	}
	slices.SortFunc(keys, func(a, b foldedPath) int { return strings.Compare(a.folded, b.folded) })
	for i := 1; i < len(keys); i++ {
		a, b := keys[i-1], keys[i]
		rest, ok := strings.CutPrefix(b.folded, a.folded)
		switch {
		case ok && rest == "":
			return fmt.Errorf("paths %.120q and %.120q: differ only in case", a.path, b.path)
		case ok && rest[0] == 0:
			return fmt.Errorf("paths %.120q and %.120q: the first is a file, so it cannot be a folder", a.path, b.path)
		case respelled(a, b):
			return fmt.Errorf("paths %.120q and %.120q: their folders differ only in case", a.path, b.path)
		}
	}
	return nil
}

// respelled reports whether a folder of a is one of b in another case. Where case
// does not count the two become one folder, and half of its files lose their path.
func respelled(a, b foldedPath) bool {
	for {
		aFolded, aRest, aOK := strings.Cut(a.folded, "\x00")
		bFolded, bRest, bOK := strings.Cut(b.folded, "\x00")
		if !aOK || !bOK || aFolded != bFolded {
			return false
		}
		aName, aBelow, _ := strings.Cut(a.path, "/")
		bName, bBelow, _ := strings.Cut(b.path, "/")
		if aName != bName {
			return true
		}
		a, b = foldedPath{aRest, aBelow}, foldedPath{bRest, bBelow}
	}
}

// foldPath returns p with case removed and with "/" as the lowest byte, so
// that in sorted order a folder's content follows right after its name.
func foldPath(p string) string {
	return strings.ReplaceAll(norm.NFC.String(cases.Fold().String(p)), "/", "\x00")
}
