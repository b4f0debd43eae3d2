package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// verified is the JSON document of verify-signature.
type verified struct {
	Ref        string          `json:"ref"`
	Digest     string          `json:"digest"`
	Signatures []goodSignature `json:"signatures"`
}

// goodSignature is a signature that a trusted key has made.
type goodSignature struct {
	ID     string    `json:"id"`
	Key    string    `json:"key"`
	Repo   string    `json:"repo,omitempty"`
	Signed time.Time `json:"signed_at,omitzero"`
}

func (p *program) verifySignatureCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "verify-signature REF --key FILE",
		Short: "Tell whether a version is signed by a key that you trust",
		Long: `Verify-signature looks for a signature of the version that REF names now that one of
the keys has made. Without one it ends with exit code 10. It believes nothing that
the registry says: the keys decide, and the version is named by its digest.

FILE holds one or more public keys in PEM, Ed25519 or ECDSA on the curve P-256. Any
of them will do.

With --json it prints:
  ref, digest   what was looked at
  signatures    the good ones: id; key, the name of the key; repo and signed_at, what
                the signer says where and when it was`,
		Example:           `  ingot verify-signature acme/llama:prod --key release.key.pub`,
		ValidArgsFunction: arguments(p.aRef),
		Args:              want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			if len(files) == 0 {
				return usagef("verify-signature: no key: name the file of a public key with --key")
			}
			return p.verifySignature(cmd.Context(), ref, files)
		},
	}
	cmd.Flags().StringArrayVar(&files, "key", nil, "trust the public keys in this `FILE`; may be given more than once")
	return cmd
}

func (p *program) verifySignature(ctx context.Context, ref name.Ref, files []string) error {
	keys, err := readPublicKeys(files)
	if err != nil {
		return err
	}
	r, err := p.connect()
	if err != nil {
		return err
	}
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	good, err := goodSignatures(ctx, r, ref.Repo, digest, keys)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(verified{ref.String(), digest.String(), good})
	}
	for _, one := range good {
		when := ""
		if !one.Signed.IsZero() {
			when = ", " + one.Signed.Local().Format(time.DateTime)
		}
		p.printf("%s  %s  is signed by %s%s\n", ref, digest.Short(), one.Key, when)
	}
	return nil
}

// goodSignatures returns the signatures of a version that one of the keys has made, of
// which there is one at least.
func goodSignatures(ctx context.Context, r *client.Registry, repo name.Repo, digest chunker.Digest, keys []*signature.PublicKey) ([]goodSignature, error) {
	kept, err := r.Signatures(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	found, err := signature.Verify(digest, bundlesOf(kept), keys...)
	if err != nil {
		return nil, err
	}
	good := make([]goodSignature, 0, len(found))
	for _, one := range found {
		good = append(good, goodSignature{
			ID: one.ID.String(), Key: one.Key.Hint(), Repo: shown(one.Bundle.Claim.Repo), Signed: one.Bundle.Claim.At,
		})
	}
	return good, nil
}

func bundlesOf(kept []openapi.Signature) [][]byte {
	bundles := make([][]byte, 0, len(kept))
	for _, one := range kept {
		bundles = append(bundles, one.Bundle)
	}
	return bundles
}

// signedBy is what pull is to make sure of: that one of the keys in the files has
// signed the version. It is nil without files.
func signedBy(r *client.Registry, files []string) (func(context.Context, name.Repo, chunker.Digest) error, error) {
	if len(files) == 0 {
		return nil, nil
	}
	keys, err := readPublicKeys(files)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, repo name.Repo, digest chunker.Digest) error {
		_, err := goodSignatures(ctx, r, repo, digest, keys)
		return err
	}, nil
}
