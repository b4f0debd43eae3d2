package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func TestCheckPath(t *testing.T) {
	long := strings.Repeat("s", manifest.MaxSegment)
	for _, p := range []string{
		"a", "model.safetensors", "onnx/model.onnx", ".gitattributes", "...a", "a b", "1_Pooling/config.json",
		"caf\u00e9", "模型/权重", "console", "CONFIG", "com", "COM10", "lpt.txt", "nulls", "aux_/x", ".ingot2", "x.ingot",
		long, strings.Repeat(long+"/", 15) + long, "tokenizer+v2~(1)@[x]",
	} {
		if err := manifest.CheckPath(p); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", p, err)
		}
	}
	for p, want := range map[string]string{
		"":                                  "empty",
		"/a":                                "not relative",
		"//server/share":                    "not relative",
		`\\server\share`:                    "backslash",
		`a\b`:                               "backslash",
		"C:/a":                              "colon",
		"c:a":                               "colon",
		"a:stream":                          "colon",
		"a//b":                              "empty segment",
		"a/":                                "empty segment",
		".":                                 `segment "."`,
		"./a":                               `segment "."`,
		"..":                                `segment ".."`,
		"a/../b":                            `segment ".."`,
		"a/..":                              `segment ".."`,
		"a\x00":                             "control",
		"a\nb":                              "control",
		"a\x7f":                             "control",
		"a\u0085":                           "control",
		"a\xff":                             "UTF-8",
		"\xc0\xaf":                          "UTF-8",
		"cafe\u0301":                        "normal form C",
		"\u212b":                            "normal form C", // the Ångström sign
		"a.":                                "dot or space",
		"a ":                                "dot or space",
		"...":                               "dot or space",
		"a./b":                              "dot or space",
		" /b":                               "dot or space",
		"CON":                               "device",
		"nul":                               "device",
		"NUL.txt":                           "device",
		"nul.tar.gz":                        "device",
		"aux .txt":                          "device",
		"a/Prn/b":                           "device",
		"com1":                              "device",
		"COM0.bin":                          "device",
		"LPT9":                              "device",
		"com\u00b9":                         "device",
		"CONIN$":                            "device",
		"conout$.x":                         "device",
		".ingot":                            "reserved",
		"a/.ingot/b":                        "reserved",
		".INGOT/x":                          "reserved",
		long + "s":                          "segment longer",
		strings.Repeat(long+"/", 16) + "ab": "longer than 4096",
	} {
		err := manifest.CheckPath(p)
		if err == nil {
			t.Errorf("CheckPath(%q) = nil, want an error", p)
			continue
		}
		if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("CheckPath(%q) = %q, want one line with %q that is ErrInvalid", p, err, want)
		}
	}
}

func TestCollidingPaths(t *testing.T) {
	for _, tc := range []struct {
		paths []string
		want  string // in the error; empty when the paths may stand together
	}{
		{[]string{"a", "b/c", "b/d", "bc"}, ""},
		{[]string{"a-b/x", "a/x", "a.b", "a b"}, ""},
		{[]string{"a/b/x", "a/b/y", "b/A/x", "a/B.x"}, ""},
		{[]string{"A/x", "a/y"}, "folders differ only in case"},
		{[]string{"a/B/x", "a/b/c/y"}, "folders differ only in case"},
		{[]string{"stra\u00dfe/x", "STRASSE/y", "z"}, "folders differ only in case"},
		{[]string{"a", "A"}, "case"},
		{[]string{"dir/Model.bin", "dir/model.BIN"}, "case"},
		{[]string{"stra\u00dfe", "STRASSE"}, "case"},
		{[]string{"\u03c3", "\u03c2"}, "case"},  // sigma and final sigma
		{[]string{"\u01f0", "J\u030c"}, "case"}, // composed only in lower case
		{[]string{"a", "a"}, "twice"},
		{[]string{"a", "a/b"}, "folder"},
		{[]string{"a", "a!", "a/b"}, "folder"},
		{[]string{"A", "a/b/c"}, "folder"},
		{[]string{"x/y/z", "x/y/z/w", "x/y"}, "folder"},
	} {
		b := manifest.NewBuilder()
		for _, p := range tc.paths {
			b.Add(manifest.File{Path: p, Format: "opaque"}, nil)
		}
		_, err := b.Build(chunker.Digest{}, nil)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%q: %v, want no error", tc.paths, err)
			}
			continue
		}
		if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want ErrInvalid with %q", tc.paths, err, tc.want)
		}
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"a/b", "../x", "C:\\x", "nul.txt", "e\u0301", "a/.ingot", "a. "} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		err := manifest.CheckPath(p)
		if err == nil {
			for s := range strings.SplitSeq(p, "/") {
				if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "\\:\x00") {
					t.Fatalf("CheckPath(%q) accepts segment %q", p, s)
				}
			}
		} else if !errors.Is(err, manifest.ErrInvalid) {
			t.Fatalf("CheckPath(%q) = %v, want ErrInvalid", p, err)
		}
	})
}
