package openapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/openapi"
)

// reference is the specification as a reader wants it.
type reference struct {
	Title   string
	About   string // Markdown
	Groups  []group
	Codes   []code
	Schemas []schema
}

type group struct {
	Name       string
	About      string
	Operations []operation
}

type operation struct {
	ID, Method, Path string
	Summary, About   string
	Params           []field
	BodyAbout        string
	Body             []content
	Answers          []answer
	Curl             string
}

// field is a parameter, a header or a property.
type field struct {
	Name, In string
	Type     typ
	Required bool
	About    string
}

type typ struct {
	List bool
	Name string
	Link string // the schema it is, if that has a name
	Rule string // pattern, limits, or the values it may have
}

type content struct {
	Media   string
	Type    typ
	Example string // JSON, indented
}

type answer struct {
	Status  string
	About   string
	Headers []field
	Content []content
	Codes   []code
}

type code struct {
	Name    string
	Status  int
	Meaning string
}

type schema struct {
	Name, About string
	Type        typ
	Fields      []field
}

// describer makes a reference.
type describer struct {
	t     *testing.T
	spec  []byte
	doc   *openapi3.T
	at    string // where the path goes in the arguments of curl
	codes map[string]code
}

// describe makes the reference of a specification. at is the address in its
// commands, with the path as %s.
func describe(t *testing.T, spec []byte, at string) *reference {
	t.Helper()
	doc := loadSpec(t, spec)
	d := &describer{t, spec, doc, at, map[string]code{}}
	r := &reference{Title: doc.Info.Title, About: doc.Info.Description, Codes: d.allCodes()}
	for _, tag := range doc.Tags {
		r.Groups = append(r.Groups, group{tag.Name, tag.Description, d.operations(tag.Name)})
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		r.Schemas = append(r.Schemas, d.schema(name, doc.Components.Schemas[name].Value))
	}
	return r
}

// allCodes lists the codes by status.
func (d *describer) allCodes() []code {
	s := d.doc.Components.Schemas["Error"].Value.Properties["code"].Value
	meaning, _ := s.Extensions["x-meaning"].(map[string]any)
	var list []code
	for _, name := range s.Enum {
		n := name.(string)
		if meaning[n] == nil {
			d.t.Errorf("x-meaning does not say what %s means", n)
			continue
		}
		c := code{n, openapi.Code(n).Status(), meaning[n].(string)}
		d.codes[n] = c
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b code) int { return a.Status - b.Status })
	return list
}

// operations returns those with the tag, in the order of the document.
func (d *describer) operations(tag string) (list []operation) {
	paths := d.doc.Paths.Map()
	inOrder := slices.SortedFunc(maps.Keys(paths), func(a, b string) int {
		return bytes.Index(d.spec, []byte("\n  "+a+":\n")) - bytes.Index(d.spec, []byte("\n  "+b+":\n"))
	})
	for _, path := range inOrder {
		methods := paths[path].Operations()
		for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
			if op := methods[method]; op != nil && slices.Contains(op.Tags, tag) {
				list = append(list, d.operation(method, path, paths[path], op))
			}
		}
	}
	return list
}

func (d *describer) operation(method, path string, item *openapi3.PathItem, op *openapi3.Operation) operation {
	o := operation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, About: op.Description}
	params := slices.Concat(item.Parameters, op.Parameters)
	for _, p := range params {
		o.Params = append(o.Params, d.param(p.Value))
	}
	if op.RequestBody != nil {
		o.BodyAbout = op.RequestBody.Value.Description
		o.Body = d.contents(op.RequestBody.Value.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		o.Answers = append(o.Answers, d.answer(status, op.Responses.Value(status).Value))
	}
	o.Curl = curl(o, params, d.at)
	return o
}

func (d *describer) param(p *openapi3.Parameter) field {
	return field{Name: p.Name, In: p.In, Type: d.typ(p.Schema), Required: p.Required, About: p.Description}
}

func (d *describer) answer(status string, r *openapi3.Response) answer {
	a := answer{Status: status, About: *r.Description, Content: d.contents(r.Content)}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		p := d.param(&r.Headers[name].Value.Parameter)
		p.Name, p.In = name, "header"
		a.Headers = append(a.Headers, p)
	}
	names, _ := r.Extensions["x-codes"].([]any)
	for _, name := range names {
		a.Codes = append(a.Codes, d.codes[name.(string)])
	}
	return a
}

func (d *describer) contents(all openapi3.Content) (list []content) {
	for _, media := range slices.Sorted(maps.Keys(all)) {
		c := content{Media: media, Type: d.typ(all[media].Schema)}
		if example := all[media].Example; example != nil {
			c.Example = indent(d.t, example)
		}
		list = append(list, c)
	}
	return list
}

func indent(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (d *describer) schema(name string, s *openapi3.Schema) schema {
	out := schema{Name: name, About: s.Description, Type: d.typ(&openapi3.SchemaRef{Value: s})}
	for _, property := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[property]
		about := p.Value.Description
		if p.Ref != "" {
			about = "" // the schema says it
		}
		out.Fields = append(out.Fields, field{
			Name: property, Type: d.typ(p), About: about, Required: slices.Contains(s.Required, property),
		})
	}
	return out
}

func (d *describer) typ(ref *openapi3.SchemaRef) typ {
	if ref.Ref != "" {
		name := ref.Ref[strings.LastIndex(ref.Ref, "/")+1:]
		return typ{Name: name, Link: name}
	}
	s := ref.Value
	switch {
	case len(s.AllOf) == 1:
		return d.typ(s.AllOf[0])
	case s.Type.Is("array"):
		t := d.typ(s.Items)
		t.List = true
		return t
	case s.AdditionalProperties.Schema != nil:
		return typ{Name: "object of " + d.typ(s.AdditionalProperties.Schema).Name}
	}
	return typ{Name: strings.Join(s.Type.Slice(), " or "), Rule: rule(s)}
}

// rule says what values a schema allows.
func rule(s *openapi3.Schema) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if s.Pattern != "" {
		add("`%s`", s.Pattern)
	}
	if s.MaxLength != nil {
		add("at most %d characters", *s.MaxLength)
	}
	if s.Min != nil && s.Max != nil {
		add("%.0f to %.0f", *s.Min, *s.Max)
	}
	if s.Default != nil {
		add("%v if not given", s.Default)
	}
	if s.Format == "date-time" || s.Format == "binary" {
		add("%s", s.Format)
	}
	if len(s.Enum) > 0 && len(s.Enum) < 5 {
		add("one of `%s`", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(s.Enum)), "`, `"), "[]"))
	}
	return strings.Join(parts, ", ")
}

// curl returns a command that makes the request; at says where, with the path as
// %s.
func curl(o operation, params openapi3.Parameters, at string) string {
	path, query := o.Path, []string{}
	for _, p := range params {
		value := exampleOf(p.Value)
		switch {
		case value == "":
		case p.Value.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", value)
		case p.Value.In == "query":
			query = append(query, p.Value.Name+"="+strings.NewReplacer("%2F", "/", "%3A", ":", "%2C", ",", "%2A", "*").Replace(url.QueryEscape(value)))
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	command := "curl"
	if o.Method != "GET" {
		command += " -X " + o.Method
	}
	return command + curlBody(o) + " " + fmt.Sprintf(at, path) + curlOutput(o)
}

func curlBody(o operation) string {
	if len(o.Body) == 0 {
		return ""
	}
	body := o.Body[0]
	if body.Example != "" {
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(body.Example)) // indent made it
		return fmt.Sprintf(" -H 'Content-Type: %s' \\\n  -d '%s' \\\n ", body.Media, compact.String())
	}
	return fmt.Sprintf(" -H 'Content-Type: %s' \\\n  --data-binary @body \\\n ", body.Media)
}

// curlOutput keeps bytes that are no text off the terminal.
func curlOutput(o operation) string {
	for _, c := range o.Answers[0].Content {
		if c.Type.Name == "Binary" && len(o.Answers[0].Content) == 1 {
			return " -o answer"
		}
	}
	return ""
}

// exampleOf returns the value that a parameter has in examples, if any: one of a
// list.
func exampleOf(p *openapi3.Parameter) string {
	for _, v := range []any{p.Example, p.Schema.Value.Example} {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		if v != nil {
			return fmt.Sprint(v)
		}
	}
	if p.Name == "index" {
		return "0"
	}
	return ""
}
