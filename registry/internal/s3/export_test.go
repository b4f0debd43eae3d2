package s3

import "time"

// Quick makes the pauses between tries short.
func Quick(s *Space) { s.pause = time.Millisecond }

// Endpoint is what messages call the store.
func Endpoint(s *Space) string { return s.endpoint }

// Tries is how often a call that may happen twice is made.
const Tries = tries

// EncodeRegister returns the object of a register's value.
func EncodeRegister(nonce [16]byte, val []byte) []byte { return encode(nonce, val) }

// DecodeRegister returns the value of a register's object.
func DecodeRegister(object []byte) ([]byte, error) { return decode(object) }
