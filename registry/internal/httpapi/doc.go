// Package httpapi owns the registry's HTTP: which route means what, the limits of
// what comes in, and how results and failures are written. openapi/registry.yaml
// is what it implements.
//
// Laws:
//   - Whatever happens is answered as registry.yaml says, every failure as a JSON
//     error; only a failure behind the first byte of a body, and a caller who is
//     gone, close the connection instead.
//   - Memory for a body is taken from a budget before the first byte is read.
//   - Names, lengths and counts are judged here; what they mean is judged by
//     package versions.
//   - It is the only package that knows the web framework.
package httpapi
