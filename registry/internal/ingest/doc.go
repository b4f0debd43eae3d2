// Package ingest owns how a whole file that comes to the server becomes chunks of a
// repository: it makes room for the bytes, proves that they are what was announced,
// cuts and encodes them, and stores those chunks that are not there.
//
// A file that is of no version yet is an Object: an ordinary version with one file,
// in the repository that name.Repo.Uploads gives, under the tag TagOf its sha256.
//
// Laws:
//   - Nothing is kept whose sha256 or size is another than what was announced.
//   - The disk that arriving files take is bounded by Config.Limit, the memory of the
//     work on them by Config.Memory, however many come.
//   - To keep a file twice is to keep it once. What failed half-way leaves chunks
//     that the next collection frees, and nothing else.
package ingest
