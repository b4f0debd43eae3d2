package hub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// read reads all lines, and what was given away of each.
func readLines(text string) (list, contents []string, err error) {
	l := newLines(strings.NewReader(text))
	for {
		content := ""
		raw, err := l.next(func(r io.Reader) error {
			b, err := io.ReadAll(r)
			content = string(b)
			return err
		})
		if errors.Is(err, io.EOF) {
			return list, contents, nil
		}
		if err != nil {
			return list, contents, err
		}
		list, contents = append(list, string(raw)), append(contents, content)
	}
}

func TestLines(t *testing.T) {
	tests := []struct{ name, in, out, content string }{
		{"plain", `{"key":"header","value":{"summary":"s"}}`, `{"key":"header","value":{"summary":"s"}}`, ""},
		{"content", `{"value":{"content":"aGVsbG8=","path":"p"}}`, `{"value":{"content":"","path":"p"}}`, "aGVsbG8="},
		{"spaces", `{"value": {"content" : "aGVsbG8=", "path" : "p"} }`, `{"value": {"content" : "", "path" : "p"} }`, "aGVsbG8="},
		{"escaped slash", `{"content":"a\/b\/"}`, `{"content":""}`, "a/b/"},
		{"no content", `{"content":null,"path":"p"}`, `{"content":null,"path":"p"}`, ""},
		{"content as a value", `{"path":"content","x":"y"}`, `{"path":"content","x":"y"}`, ""},
		{"quotes in strings", `{"path":"a\"content\":\"b","x":"\\"}`, `{"path":"a\"content\":\"b","x":"\\"}`, ""},
		{"empty", `{"content":""}`, `{"content":""}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, end := range []string{"", "\n", "\r\n\n \n"} {
				list, contents, err := readLines(tt.in + end)
				if err != nil || len(list) != 1 || list[0] != tt.out || contents[0] != tt.content {
					t.Errorf("got %q, %q, %v", list, contents, err)
				}
			}
		})
	}
	for _, bad := range []string{`{"content":"aGV`, `{"key":"a`, `{"content":"a\u0041"}`, `{"content":"a\`, `{"key":"a\`} {
		if list, _, err := readLines(bad); err == nil {
			t.Errorf("%q is read as %q", bad, list)
		}
	}
	long := `{"path":"` + strings.Repeat("x", maxLine) + `"}`
	if _, _, err := readLines(long); !errors.Is(err, errLines) {
		t.Errorf("a long line: %v", err)
	}
	content := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 4*maxLine))
	if _, got, err := readLines(`{"content":"` + content + `"}`); err != nil || got[0] != content {
		t.Errorf("a long content: %d bytes, %v", len(got[0]), err)
	}
	many := newLines(strings.NewReader(strings.Repeat(`{"path":"x"}`+"\n", 10)))
	many.most = 100
	var err error
	for err == nil {
		_, err = many.next(nil)
	}
	if !errors.Is(err, errLines) {
		t.Errorf("many lines: %v", err)
	}
}

// FuzzLines compares with what the package for JSON reads.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{"key":"file","value":{"content":"aGVsbG8=","path":"p","encoding":"base64"}}`, `{"content":"","content":"YQ=="}`,
		`{"a":"content","b":"c"}`, `{"content" : "YQ==" }`, "[\"content\",\"x\"]\n\n{}", `{"content":{"content":"YQ=="}}`, `"content":"x`,
		"{\"content\" : \"\xff\x7f==\" }",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, contents, err := readLines(s)
		// What is not UTF-8 encoding/json replaces; here it comes as it is, and is no base64.
		if err != nil || strings.Contains(s, `\`) || !utf8.ValidString(s) {
			return
		}
		for i, line := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' }) {
			var whole, rest struct{ Content, Path string }
			if len(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })) != len(list) {
				return // lines of spaces, or strings over several lines
			}
			if json.Unmarshal([]byte(line), &whole) != nil {
				continue
			}
			if json.Unmarshal([]byte(list[i]), &rest) != nil || rest.Path != whole.Path {
				t.Errorf("%q is read as %q", line, list[i])
			}
			if strings.Count(strings.ToLower(line), "content") == 1 && strings.Contains(line, `"content"`) && whole.Content != "" && whole.Content != contents[i] {
				t.Errorf("the content of %q is %q", line, contents[i])
			}
		}
	})
}

// staged is a Draft that remembers.
type staged struct {
	Draft
	contents []string
}

func (s *staged) Stage(r io.Reader) (int, error) {
	b, err := io.ReadAll(r)
	s.contents = append(s.contents, string(b))
	return len(s.contents) - 1, err
}

func FuzzChange(f *testing.F) {
	f.Add(`{"key":"header","value":{"summary":"s","description":"d","parentCommit":"p"}}
{"key":"file","value":{"content":"aGVsbG8=","path":"p","encoding":"base64"}}
{"key":"lfsFile","value":{"path":"w","algo":"sha256","oid":"0000000000000000000000000000000000000000000000000000000000000000","size":7}}
{"key":"deletedFile","value":{"path":"x"}}
{"key":"deletedFolder","value":{"path":"y/"}}
{"key":"copyFile","value":{"path":"z","srcPath":"x","srcRevision":"r"}}`)
	f.Fuzz(func(t *testing.T, s string) {
		var d staged
		c, err := readChange(strings.NewReader(s), &d)
		if err != nil {
			return
		}
		for _, op := range c.Ops {
			if op.Kind == OpFile && (op.Content < 0 || op.Content >= len(d.contents)) || op.Size < 0 && op.Kind == OpLFSFile {
				t.Errorf("step %+v of %q", op, s)
			}
		}
	})
}
