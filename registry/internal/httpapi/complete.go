package httpapi

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// parseComplete decodes a JSON document into a struct. Package json takes a field
// that is missing, or null, for its zero value; here every field that the struct
// always writes has to be there, and null is nothing that a field may be.
func parseComplete(doc []byte, into any) error {
	var document any
	err := json.Unmarshal(doc, into)
	if err == nil {
		err = json.Unmarshal(doc, &document)
	}
	if err == nil {
		err = complete(document, reflect.TypeOf(into).Elem(), "body")
	}
	if err != nil {
		return openapi.Errorf(openapi.CodeBadRequest, "body: %v", err)
	}
	return nil
}

var unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// complete compares a document with a type that it was decoded into; at is where in
// the whole document it lies.
func complete(document any, t reflect.Type, at string) error {
	if document == nil {
		return fmt.Errorf("%s is null", at)
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice:
		for i, item := range document.([]any) {
			if err := complete(item, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		object := document.(map[string]any)
		for _, f := range reflect.VisibleFields(t) {
			name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			value, there := object[name]
			if !there && option == "omitempty" {
				continue
			}
			if !there {
				return fmt.Errorf("%s has no %s", at, name)
			}
			if err := complete(value, f.Type, at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}
