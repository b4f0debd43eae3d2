package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

//go:embed files
var embedded embed.FS

// indexName is the file that is made into the HTML, a template of html/template.
const indexName = "index.html"

// Page answers requests for the page and its files. It is safe for concurrent use.
type Page struct {
	build   string // names the files as they are
	files   map[string]*file
	modules []string // names of the scripts, which a browser is told to fetch at once
	index   *template.Template
}

// New returns the page. It fails only if the program was built with files that are none.
func New() (*Page, error) {
	files, err := fs.Sub(embedded, "files")
	if err != nil {
		return nil, fmt.Errorf("open page: %w", err)
	}
	return open(files)
}

// open makes a page of files.
func open(files fs.FS) (*Page, error) {
	p := &Page{files: map[string]*file{}}
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if name == indexName {
			p.index, err = template.New(name).Parse(string(b))
			return err
		}
		f, err := newFile(name, b)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(b), b)
		p.files[name] = f
		if path.Ext(name) == ".js" {
			p.modules = append(p.modules, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open page: %w", err)
	}
	if p.index == nil {
		return nil, fmt.Errorf("open page: %w: %s", fs.ErrNotExist, indexName)
	}
	slices.Sort(p.modules)
	p.build = hex.EncodeToString(sum.Sum(nil)[:8])
	return p, nil
}

// policy has a browser run, show and ask nothing but the registry's own.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Owns tells the paths, as they are escaped in a request, that the page answers beside
// that of the registry's root.
func Owns(path string) bool { return path == uiPath || strings.HasPrefix(path, uiPath+"/") }

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		refuse(w, openapi.Errorf(openapi.CodeNotAllowed, "no %.20q for %.200q", r.Method, r.URL.Path))
		return
	}
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), ownPath+"/"); ok && strings.Contains(rest, "/") {
		p.serveFile(w, r, rest)
		return
	}
	p.serveIndex(w, r)
}

// serveFile answers with a file. One that is asked for by the address of another program
// is sent all the same, in case several replicas are being replaced, and not kept.
func (p *Page) serveFile(w http.ResponseWriter, r *http.Request, rest string) {
	build, name, _ := strings.Cut(rest, "/")
	f := p.files[name]
	if f == nil {
		refuse(w, openapi.Errorf(openapi.CodeNotFound, "no such path: %.200q", r.URL.Path))
		return
	}
	keep := "no-store"
	if build == p.build {
		keep = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", keep)
	f.serve(w, r)
}

// view is what the index is made of.
type view struct {
	Root    string   // of the registry, relative to the page
	Assets  string   // where the files are
	Modules []string // the scripts among them
	Data    []string // what the page will ask for first
}

// serveIndex answers with the page itself, whatever is behind the path: the page tells
// of what is not there.
func (p *Page) serveIndex(w http.ResponseWriter, r *http.Request) {
	root := rootOf(r.URL.EscapedPath())
	v := view{Root: root, Assets: root + strings.TrimPrefix(ownPath, "/") + "/" + p.build + "/"}
	for _, name := range p.modules {
		v.Modules = append(v.Modules, v.Assets+name)
	}
	for _, data := range dataOf(r.URL) {
		v.Data = append(v.Data, root+data)
	}
	var b bytes.Buffer
	if err := p.index.Execute(&b, v); err != nil {
		refuse(w, openapi.Errorf(openapi.CodeInternal, "make the page: %v", err))
		return
	}
	f, err := newFile(indexName, b.Bytes())
	if err != nil {
		refuse(w, openapi.Errorf(openapi.CodeInternal, "make the page: %v", err))
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	f.serve(w, r)
}
