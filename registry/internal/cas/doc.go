// Package cas owns the service through which clients of the Hugging Face Hub send and
// fetch large files by the Xet protocol. They send xorbs, which are chunks in a row,
// and then shards, which say of which chunks files are made; each file becomes an
// Object of package ingest, which a commit finds by its sha256. They fetch files as
// rows of chunks that nobody has stored so: all that is said of them is arithmetic.
//
// Xorbs lie in a folder of this process until a shard has come, for their chunks are
// not those of the registry: in its store they would be bytes that no version needs.
// Only where a shard may come to another replica they are stored all the same, as
// files that nobody commits, and go after some days. Config.Address, which has clients
// come back to the replica that they began with, spares that.
//
// Clients remember for weeks which xorbs they have sent, and name them again without
// sending them. So the registers note, for each xorb, in which files its chunks lie.
//
// Laws:
//   - A file is kept only if its sha256 is what the shard, or the commit, says.
//   - A xorb is used only by whoever sent it, or may read a file that has its chunks.
//   - The disk that xorbs take is bounded by Config.Limit, memory by the number of
//     requests that are worked on at a time.
//   - Who asks is what the token says, which this registry has signed. What it may do
//     is asked again at every step.
package cas
