package openapi_test

import (
	"encoding"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// types names the Go type of every JSON document in the specification.
var types = map[string]any{
	"ErrorBody":       openapi.ErrorBody{},
	"Error":           openapi.Error{},
	"Health":          openapi.Health{},
	"Stats":           openapi.Stats{},
	"NamespaceStats":  openapi.NamespaceStats{},
	"RepoList":        openapi.RepoList{},
	"RepoInfo":        openapi.RepoInfo{},
	"VersionList":     openapi.VersionList{},
	"VersionInfo":     openapi.VersionInfo{},
	"VersionView":     manifest.View{},
	"FileView":        manifest.FileView{},
	"TensorView":      manifest.TensorView{},
	"FileHashes":      openapi.FileHashes{},
	"FileHash":        openapi.FileHash{},
	"Exchange":        openapi.Exchange{},
	"Exchanged":       openapi.Exchanged{},
	"Signature":       openapi.Signature{},
	"SignatureList":   openapi.SignatureList{},
	"Diff":            openapi.Diff{},
	"DiffFiles":       openapi.DiffFiles{},
	"DiffFile":        openapi.DiffFile{},
	"DiffTensors":     openapi.DiffTensors{},
	"DiffTensor":      openapi.DiffTensor{},
	"TagList":         openapi.TagList{},
	"Tag":             openapi.Tag{},
	"SetTag":          openapi.SetTag{},
	"Push":            openapi.Push{},
	"Received":        openapi.Received{},
	"Committed":       openapi.Committed{},
	"TagEvent":        openapi.TagEvent{},
	"NodeReport":      openapi.NodeReport{},
	"NodeResident":    openapi.NodeResident{},
	"TierUsages":      openapi.TierTotals{},
	"TierUsage":       openapi.TierUsage{},
	"NodeInfo":        openapi.NodeInfo{},
	"NodeList":        openapi.NodeList{},
	"Upstream":        openapi.Upstream{},
	"UpstreamInfo":    openapi.UpstreamInfo{},
	"UpstreamList":    openapi.UpstreamList{},
	"GCRequest":       openapi.GCRequest{},
	"GCLine":          openapi.GCLine{},
	"GCProgress":      openapi.GCProgress{},
	"GCReport":        openapi.GCReport{},
	"GCTotal":         openapi.GCTotal{},
	"CompactRequest":  openapi.CompactRequest{},
	"CompactLine":     openapi.CompactLine{},
	"CompactProgress": openapi.CompactProgress{},
	"CompactReport":   openapi.CompactReport{},
	"VerifyRequest":   openapi.VerifyRequest{},
	"VerifyLine":      openapi.VerifyLine{},
	"VerifyProgress":  openapi.VerifyProgress{},
	"VerifyReport":    openapi.VerifyReport{},
	"BadObject":       openapi.BadObject{},

	"Summary":        openapi.Summary{},
	"ModelSummary":   openapi.ModelSummary{},
	"SummaryTotals":  openapi.SummaryTotals{},
	"Weighed":        openapi.Weighed{},
	"Saved":          openapi.Saved{},
	"RepoSummary":    openapi.RepoSummary{},
	"VersionSummary": openapi.VersionSummary{},
	"LayerMap":       openapi.LayerMap{},
	"MapSource":      openapi.MapSource{},
	"MapLayer":       openapi.MapLayer{},
	"MapPart":        openapi.MapPart{},
	"MapDelta":       openapi.MapDelta{},
	"NewSession":     openapi.NewSession{},

	"Whoami":         openapi.Whoami{},
	"TokenSpec":      openapi.TokenSpec{},
	"Token":          openapi.Token{},
	"TokenList":      openapi.TokenList{},
	"ProtectionSpec": openapi.ProtectionSpec{},
	"Protection":     openapi.Protection{},
	"ProtectionList": openapi.ProtectionList{},

	"Log":             openapi.Log{},
	"LogEntry":        openapi.LogEntry{},
	"Encodings":       openapi.Encodings{},
	"EncodedTotal":    openapi.EncodedTotal{},
	"QuotaLimits":     openapi.QuotaLimits{},
	"Quota":           openapi.Quota{},
	"Usage":           openapi.Usage{},
	"QuotaList":       openapi.QuotaList{},
	"RetentionRule":   openapi.RetentionRule{},
	"Retention":       openapi.Retention{},
	"KeepBest":        openapi.KeepBest{},
	"RetentionReport": openapi.RetentionReport{},
}

// specs are the specifications, and the types that each is held to.
var specs = []struct {
	name  string
	doc   []byte
	types map[string]any
}{
	{"registry.yaml", openapi.Spec, types},
	{"node.yaml", openapi.NodeSpec, nodeTypes},
}

func load(t *testing.T) *openapi3.T { return loadSpec(t, openapi.Spec) }

func loadSpec(t *testing.T, spec []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		t.Fatalf("load specification: %v", err)
	}
	return doc
}

func TestSpecIsValid(t *testing.T) {
	for _, s := range specs {
		if err := loadSpec(t, s.doc).Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

func TestTypesMatchSchemas(t *testing.T) {
	for _, s := range specs {
		t.Run(s.name, func(t *testing.T) { matchTypes(t, loadSpec(t, s.doc).Components.Schemas, s.types) })
	}
}

func matchTypes(t *testing.T, schemas openapi3.Schemas, types map[string]any) {
	for name, value := range types {
		s := schemas[name]
		if s == nil {
			t.Errorf("no schema %s", name)
			continue
		}
		all, required := fields(reflect.TypeOf(value))
		if got := slices.Sorted(maps.Keys(s.Value.Properties)); !slices.Equal(got, slices.Sorted(maps.Keys(all))) {
			t.Errorf("%s: the schema has %q, the type %q", name, got, slices.Sorted(maps.Keys(all)))
		}
		if got := slices.Sorted(slices.Values(s.Value.Required)); !slices.Equal(got, required) {
			t.Errorf("%s: the schema requires %q, the type always has %q", name, got, required)
		}
		for field, typ := range all {
			if p := s.Value.Properties[field]; p != nil {
				compareField(t, name+"."+field, schemaOf(p), typ)
			}
		}
	}
	for name, s := range schemas {
		if _, ok := types[name]; !ok && s.Value.Type.Is("object") {
			t.Errorf("schema %s has no type in the table", name)
		}
	}
}

// fields returns the JSON fields of a struct, and the sorted names of those that
// are always written.
func fields(t reflect.Type) (all map[string]reflect.Type, required []string) {
	all = map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its fields are visible too
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = f.Type
		if option != "omitempty" {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	return all, required
}

// schemaOf looks through an allOf, which gives a shared schema its description.
func schemaOf(ref *openapi3.SchemaRef) *openapi3.Schema {
	if len(ref.Value.AllOf) == 1 {
		return ref.Value.AllOf[0].Value
	}
	return ref.Value
}

// compareField checks that a value of the Go type is written as the schema says.
func compareField(t *testing.T, field string, s *openapi3.Schema, typ reflect.Type) {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := kind(typ)
	if !s.Type.Is(want) {
		t.Errorf("%s: the schema says %v, the type is written as %s", field, s.Type, want)
		return
	}
	if want == "array" && typ.Kind() == reflect.Slice {
		compareField(t, field+"[]", schemaOf(s.Items), typ.Elem())
	}
}

var text = reflect.TypeFor[encoding.TextMarshaler]()

func kind(t reflect.Type) string {
	if t.Implements(text) || t == reflect.TypeFor[time.Time]() {
		return "string"
	}
	if t == reflect.TypeFor[openapi.LeaseRun]() {
		return "array"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string" // in base64
		}
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Float64:
		return "number"
	default:
		return "integer"
	}
}

var codes = []openapi.Code{
	openapi.CodeBadRequest, openapi.CodeBadName, openapi.CodeBadManifest, openapi.CodeBadChunk, openapi.CodeNoBase,
	openapi.CodeUnauthorized, openapi.CodeForbidden, openapi.CodeQuotaExceeded, openapi.CodeReadOnly, openapi.CodeNotFound, openapi.CodeNotAllowed,
	openapi.CodeMissingChunks, openapi.CodeTagMoved, openapi.CodePushClosed, openapi.CodeConflict,
	openapi.CodeTooLarge, openapi.CodeBusy, openapi.CodeUnavailable, openapi.CodeNoSpace, openapi.CodeInternal,
}

func TestCodesMatchSpec(t *testing.T) {
	s := load(t).Components.Schemas["Error"].Value.Properties["code"].Value
	if len(s.Enum) != len(codes) {
		t.Errorf("the specification has %d codes, the table %d", len(s.Enum), len(codes))
	}
	status, ok := s.Extensions["x-status"].(map[string]any)
	if !ok {
		t.Fatalf("x-status is %T", s.Extensions["x-status"])
	}
	for _, c := range codes {
		if !slices.Contains(s.Enum, any(string(c))) {
			t.Errorf("%s is not in the enum", c)
		}
		if got := status[string(c)]; jsonText(t, got) != strconv.Itoa(c.Status()) {
			t.Errorf("%s: status %v in the specification, %d in the code", c, got, c.Status())
		}
	}
	if got := openapi.Code("of another release").Status(); got != 500 {
		t.Errorf("unknown code: status %d, want 500", got)
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestResponsesNameTheirCodes holds every failure of every operation to codes
// that have its status.
func TestResponsesNameTheirCodes(t *testing.T) {
	for _, s := range specs {
		t.Run(s.name, func(t *testing.T) { checkResponses(t, loadSpec(t, s.doc)) })
	}
}

func checkResponses(t *testing.T, doc *openapi3.T) {
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if op.OperationID == "" || op.Summary == "" {
				t.Errorf("%s has no operationId or summary", where)
			}
			for status, r := range op.Responses.Map() {
				checkResponse(t, where, status, r.Value)
			}
		}
	}
}

func checkResponse(t *testing.T, where, status string, r *openapi3.Response) {
	t.Helper()
	n, err := strconv.Atoi(status)
	if err != nil {
		t.Errorf("%s: response %q is not a status", where, status)
		return
	}
	names, _ := r.Extensions["x-codes"].([]any)
	// net/http answers for headers that are too long, before there is a request.
	coded := n >= http.StatusBadRequest && n != http.StatusRequestHeaderFieldsTooLarge
	if coded != (len(names) > 0) {
		t.Errorf("%s: response %s names the codes %v", where, status, names)
	}
	for _, name := range names {
		if c := openapi.Code(name.(string)); !slices.Contains(codes, c) || c.Status() != n {
			t.Errorf("%s: response %s names %s, whose status is %d", where, status, c, c.Status())
		}
	}
}

// TestLimitsMatchSpec compares numbers that stand in both.
func TestLimitsMatchSpec(t *testing.T) {
	doc := load(t)
	limit := doc.Components.Parameters["Limit"].Value.Schema.Value
	if *limit.Max != openapi.MaxPage {
		t.Errorf("limit: at most %v, MaxPage is %d", *limit.Max, openapi.MaxPage)
	}
	missing := doc.Components.Schemas["Error"].Value.Properties["missing"].Value
	if *missing.MaxItems != openapi.MaxMissing {
		t.Errorf("missing: at most %d, MaxMissing is %d", *missing.MaxItems, openapi.MaxMissing)
	}
	namespaces := doc.Components.Schemas["Stats"].Value.Properties["namespaces"].Value
	if *namespaces.MaxItems != openapi.MaxNamespaces {
		t.Errorf("namespaces: at most %d, MaxNamespaces is %d", *namespaces.MaxItems, openapi.MaxNamespaces)
	}
	match := doc.Paths.Value("/v1/events").Get.Parameters.GetByInAndName("query", "match").Schema.Value
	if *match.MaxItems != openapi.MaxMatch {
		t.Errorf("match: at most %d, MaxMatch is %d", *match.MaxItems, openapi.MaxMatch)
	}
	report := doc.Components.Schemas["NodeReport"].Value.Properties
	if got := *report["models"].Value.MaxItems; got != openapi.MaxNodeModels {
		t.Errorf("models: at most %d, MaxNodeModels is %d", got, openapi.MaxNodeModels)
	}
	if got := *report["ttl"].Value.Max; got != openapi.MaxNodeTTL {
		t.Errorf("ttl: at most %v, MaxNodeTTL is %d", got, openapi.MaxNodeTTL)
	}
	grace := doc.Components.Schemas["GCRequest"].Value.Properties["grace_seconds"].Value
	if *grace.Max != openapi.MaxGrace {
		t.Errorf("grace_seconds: at most %v, MaxGrace is %d", *grace.Max, openapi.MaxGrace)
	}
	anomalies := doc.Components.Schemas["GCReport"].Value.Properties["anomalies"].Value
	if *anomalies.MaxItems != openapi.MaxAnomalies {
		t.Errorf("anomalies: at most %d, MaxAnomalies is %d", *anomalies.MaxItems, openapi.MaxAnomalies)
	}
}
