package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// signed is the JSON document of sign.
type signed struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
	ID     string `json:"id"`
	Key    string `json:"key"`
}

// generated is the JSON document of sign with --generate-key.
type generated struct {
	Private string `json:"private"`
	Public  string `json:"public"`
	Key     string `json:"key"`
}

func (p *program) signCommand() *cobra.Command {
	var key, generate string
	cmd := &cobra.Command{
		Use:   "sign REF --key FILE | --generate-key FILE",
		Short: "Sign a version, so that others can tell that it is yours",
		Long: `Sign makes a signature of the version that REF names now and has the registry keep
it beside the version. It covers the manifest, and by that every byte of every file.
It stays as long as the version, whatever tags point at it, and whoever has the
public key can verify it: "ingot verify-signature", "ingot pull --signed-by", or an
agent with the key signed-by.

FILE is a private key in PEM, PKCS #8 and not encrypted: Ed25519, or ECDSA on the
curve P-256. With --generate-key an Ed25519 key is made and written to FILE, for
your eyes only, and its public key to FILE.pub; files that are there stay.

With --json it prints:
  ref, digest   what was signed
  id            the name of the signature
  key           the name of the key: the SHA-256 of its public key, in base64
and with --generate-key:
  private       the file of the private key
  public        the file of the public key
  key           the name of the key`,
		Example: `  ingot sign --generate-key release.key
  ingot sign acme/llama:prod --key release.key`,
		ValidArgsFunction: arguments(p.aRef),
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case generate != "" && key != "":
				return usagef("sign: --key and --generate-key exclude each other")
			case generate != "":
				return want(0, 0)(cmd, args)
			case key == "":
				return usagef("sign: no key: name its file with --key, or make one with --generate-key")
			}
			return want(1, 1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if generate != "" {
				return p.generateKey(generate)
			}
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			return p.sign(cmd.Context(), ref, key)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "sign with the private key in this `FILE`")
	cmd.Flags().StringVar(&generate, "generate-key", "", "make a key, and write it to this `FILE`")
	return cmd
}

func (p *program) sign(ctx context.Context, ref name.Ref, file string) error {
	key, err := readPrivateKey(file)
	if err != nil {
		return err
	}
	r, err := p.connect()
	if err != nil {
		return err
	}
	doc, digest, err := r.Document(ctx, ref)
	if err != nil {
		return err
	}
	bundle, err := signature.Sign(key, doc, signature.Claim{Repo: ref.Repo.String(), At: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	one, err := r.PutSignature(ctx, ref.Repo, digest, bundle)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(signed{ref.String(), digest.String(), one.ID.String(), key.Public().Hint()})
	}
	p.printf("signed %s  %s  with the key %s\n", ref, digest.Short(), key.Public().Hint())
	return nil
}

// generateKey writes a new key and its public key into files that are not there.
func (p *program) generateKey(file string) error {
	key, err := signature.Generate()
	if err != nil {
		return err
	}
	private, err := key.PEM()
	if err != nil {
		return err
	}
	public, err := key.Public().PEM()
	if err != nil {
		return err
	}
	if err := writeNew(file, private, 0o600); err != nil {
		return err
	}
	if err := writeNew(file+".pub", public, 0o644); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	if p.json {
		return p.printJSON(generated{file, file + ".pub", key.Public().Hint()})
	}
	p.printf("private key  %s: keep it to yourself\n", shown(file))
	p.printf("public key   %s: give it to whoever verifies\n", shown(file+".pub"))
	p.printf("called       %s\n", key.Public().Hint())
	return nil
}

// writeNew writes a file that is not there yet, all of it or nothing.
func writeNew(file string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return usagef("%s is there already: choose another name, a key is never written over", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// maxKeyFile bounds a file of keys in bytes.
const maxKeyFile = 64 << 10

// readKeyFile reads a file of keys.
func readKeyFile(file string) (text []byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, inputf("key %s: %v", file, errors.Unwrap(err))
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", file, err)
	}
	if len(text) > maxKeyFile {
		return nil, inputf("key %s: more than %d bytes", file, maxKeyFile)
	}
	return text, nil
}

func readPrivateKey(file string) (*signature.PrivateKey, error) {
	text, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	key, err := signature.ParsePrivateKey(text)
	if err != nil {
		return nil, inputf("key %s: %v", file, err)
	}
	return key, nil
}

// readPublicKeys reads the keys of some files, each of which may hold several.
func readPublicKeys(files []string) (keys []*signature.PublicKey, err error) {
	for _, file := range files {
		text, err := readKeyFile(file)
		if err != nil {
			return nil, err
		}
		found, err := signature.ParsePublicKeys(text)
		if err != nil {
			return nil, inputf("key %s: %v", file, err)
		}
		keys = append(keys, found...)
	}
	return keys, nil
}
