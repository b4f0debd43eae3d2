// Package artifact owns how an artifact of an OCI registry becomes a folder of files:
// models as the CNCF specifies them, those of KitOps and of ollama, and whatever names
// its files by the title of ORAS.
//
// Laws:
//   - Nothing from a registry is believed: manifests and layers are compared with
//     their digests, and every path is checked before anything is written.
//   - A file is in the folder whole or not at all. What was interrupted goes on in the
//     middle of a layer.
//   - Nothing is run, linked or made executable because an artifact says so.
package artifact
