// Package format owns where tensors lie in a file: it reads the headers of model
// files and says which bytes belong to which tensor.
//
// Laws:
//   - What a file is follows from its bytes alone. Its name only decides whether
//     a malformed file is an error or a file of unknown structure. The one
//     exception is what an ONNX model keeps in files beside it, which have no
//     structure of their own: whoever has both cuts them Along that.
//   - Nothing a file says is believed: every length and offset is checked against
//     the file's size, and memory is bounded, before it is used.
//   - A file that this package cannot describe is still a file: it is opaque, and
//     cut by its content.
//
// A format is one file here with one parse function, and one line in formats.
package format
