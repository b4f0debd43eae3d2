// Package codec owns the encoded form of a chunk: how its plain bytes, or their
// difference from those of a base, are split into byte planes and compressed, and how
// an encoded chunk is read again.
//
// Laws:
//   - Decode(Append(plain)) is plain, bit for bit, for every element type and
//     every pattern of bits. The element type is advice: a wrong one costs space.
//   - DecodeDelta(AppendDelta(plain, base), base) is plain in the same way, for any
//     two runs of bytes. A delta decodes with the base that it names and no other,
//     and every function that is given another one says so (ErrBase).
//   - An encoded chunk is never longer than MaxEncoded says, whatever it holds, and
//     a delta never longer than its plain bytes.
//   - Nothing read is believed. The checksum over the whole encoded chunk is
//     checked before anything is decoded, lengths before anything is allocated,
//     and no input, however made, makes this package panic, loop or write outside
//     the result.
//   - The checksum finds accidents. Whether the plain bytes are the ones that were
//     asked for is for the caller to verify, by their digest.
//   - Encoding says nothing about identity: two encodings of one chunk are the
//     same chunk, and a newer encoder may write other bytes than an older one.
//
// Every function may be called from many goroutines at once. Work space is
// pooled, so that a call in the steady state allocates nothing but a result that
// does not fit.
//
// The bytes are described in docs/formats/chunk.md.
package codec
