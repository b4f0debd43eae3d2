package openapi_test

import (
	"bytes"
	"flag"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/parser"

	"github.com/ingot-ml/ingot/openapi"
)

//go:generate go test -run ^TestReference$ -update

var update = flag.Bool("update", false, "write page.html and docs/reference instead of comparing")

// TestReference holds all forms of the reference to the specifications.
func TestReference(t *testing.T) {
	registry := describe(t, openapi.Spec, `"$INGOT_REGISTRY%s"`)
	compare(t, "page.html", renderPage(t, registry))
	compare(t, filepath.Join("..", "docs", "reference", "api.md"), renderMarkdown(t, registry, "api.md.tmpl"))
	node := describe(t, openapi.NodeSpec, `--unix-socket "$INGOT_AGENT" http://ingot%s`)
	compare(t, filepath.Join("..", "docs", "reference", "node.md"), renderMarkdown(t, node, "node.md.tmpl"))
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the specification says: run go generate ./openapi", path)
	}
}

// TestPageNeedsNothing looks for whatever a browser would fetch or run.
func TestPageNeedsNothing(t *testing.T) {
	page := string(openapi.Page)
	for _, word := range []string{"<script", "<link", "<img", "<iframe", "src=", "@import", "url(", "http://", "https://"} {
		if i := strings.Index(page, word); i >= 0 {
			t.Errorf("the page has %q: %.80q", word, page[i:])
		}
	}
}

func renderPage(t *testing.T, doc *reference) []byte {
	t.Helper()
	style, err := os.ReadFile(filepath.Join("testdata", "page.css"))
	if err != nil {
		t.Fatal(err)
	}
	links := doc.links()
	text := func(s string) template.HTML { return template.HTML(links.Replace(toHTML(t, s))) }
	funcs := template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
		"lower": strings.ToLower,
		"text":  text,
		"inline": func(s string) template.HTML {
			return template.HTML(strings.TrimSuffix(strings.TrimPrefix(string(text(s)), "<p>"), "</p>"))
		},
	}
	page, err := template.New("page.html.tmpl").Funcs(funcs).ParseFiles(filepath.Join("testdata", "page.html.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, doc); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func toHTML(t *testing.T, markdown string) string {
	t.Helper()
	var b bytes.Buffer
	md := goldmark.New(goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	if err := md.Convert([]byte(markdown), &b); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// links makes the names of operations and codes lead to where they are explained.
func (r *reference) links() *strings.Replacer {
	var pairs []string
	add := func(name, id string) {
		pairs = append(pairs, "<code>"+name+"</code>", fmt.Sprintf(`<a href="#%s"><code>%s</code></a>`, id, name))
	}
	for _, g := range r.Groups {
		for _, o := range g.Operations {
			add(o.ID, o.ID)
		}
	}
	for _, c := range r.Codes {
		add(c.Name, "code-"+c.Name)
	}
	return strings.NewReplacer(pairs...)
}

func renderMarkdown(t *testing.T, doc *reference, file string) []byte {
	t.Helper()
	funcs := texttemplate.FuncMap{
		"trim":   strings.TrimSpace,
		"anchor": strings.ToLower,
		"demote": func(s string) string { return strings.ReplaceAll("\n"+s, "\n# ", "\n### ")[1:] },
		"cell":   func(s string) string { return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`) },
	}
	page, err := texttemplate.New(file).Funcs(funcs).ParseFiles(filepath.Join("testdata", file), filepath.Join("testdata", "reference.md.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, doc); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
