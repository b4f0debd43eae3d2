{{/* What does not go together is refused when it is rendered, not when it runs. */}}
{{- define "ingot.checks" -}}
{{- $r := .Values.registry -}}
{{- $a := .Values.agent -}}
{{- if and $r.enabled (eq $r.tls.mode "secret") (not $r.tls.secretName) -}}
{{- fail "registry.tls.mode is secret: name it with registry.tls.secretName" -}}
{{- end -}}
{{- if and $r.enabled (eq $r.tls.mode "certManager") (not $r.tls.issuerRef.name) -}}
{{- fail "registry.tls.mode is certManager: name the issuer with registry.tls.issuerRef" -}}
{{- end -}}
{{- if and $r.enabled $r.ingress.enabled (not $r.ingress.host) -}}
{{- fail "registry.ingress is enabled: name its host" -}}
{{- end -}}
{{- if and $a.enabled (not $r.enabled) (not $a.registry) -}}
{{- fail "there is no registry here for the agent: name one with agent.registry" -}}
{{- end -}}
{{- if and $a.enabled $a.registry (not $a.tokenSecret) -}}
{{- fail "agent.registry is another cluster's or another chart's: give the agent a token for it with agent.tokenSecret" -}}
{{- end -}}
{{- if and $a.enabled (not $a.registry) (not $a.tokenSecret) (not $r.oidc.enabled) (eq $r.access "tokens") -}}
{{- fail "the agent has no way to say who it is: enable registry.oidc, or set agent.tokenSecret" -}}
{{- end -}}
{{- if and $a.enabled (eq $a.gpu.visibility "none") (ne (toString $a.gpu.budget) "none") -}}
{{- fail "agent.gpu.budget needs GPUs that the agent can see: set agent.gpu.visibility" -}}
{{- end -}}
{{- if and $a.enabled (ne $a.gpu.visibility "none") (eq (toString $a.ram) "none") -}}
{{- fail "models come to a GPU from memory: agent.ram is none" -}}
{{- end -}}
{{- if and $a.enabled $a.listen.enabled (or (not $a.listen.tokenSecret) (not $a.listen.tlsSecretName)) -}}
{{- fail "agent.listen is reached over the network: name the Secrets of its token and its certificate with agent.listen.tokenSecret and agent.listen.tlsSecretName" -}}
{{- end -}}
{{- end -}}
