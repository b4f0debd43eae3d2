{{/* serve.yaml: what the chart knows, and over it what registry.config says. */}}
{{- define "ingot.registry.config" -}}
{{- $r := .Values.registry -}}
{{- $c := dict "data" "/var/lib/ingot/registry" "listen" "0.0.0.0:7070" "access" $r.access "memory" $r.memory "log-format" "json" -}}
{{- if $r.storage.store -}}
{{- $_ := set $c "store" $r.storage.store -}}
{{- /* What overfills the volume is evicted with the pod, so some of it is left. */ -}}
{{- $room := include "ingot.mib" (dict "name" "registry.storage.size" "size" (printf "%sB" $r.storage.size)) | int -}}
{{- $_ := set $c "arrivals" (printf "%dMiB" (max 1024 (div (mul $room 3) 4))) -}}
{{- end -}}
{{- if $r.anonymous -}}{{- $_ := set $c "anonymous" $r.anonymous -}}{{- end -}}
{{- if ne $r.tls.mode "none" -}}
{{- $_ := set $c "tls-cert" "/etc/ingot/tls/tls.crt" -}}
{{- $_ := set $c "tls-key" "/etc/ingot/tls/tls.key" -}}
{{- end -}}
{{- /* The word that plain HTTP, open access or an open port for metrics is meant. It turns off nothing. */ -}}
{{- if or (eq $r.tls.mode "none") (eq $r.access "open") .Values.metrics.enabled -}}{{- $_ := set $c "insecure" true -}}{{- end -}}
{{- if and $r.oidc.enabled (eq $r.access "tokens") -}}{{- $_ := set $c "oidc" "/etc/ingot/oidc/oidc.yaml" -}}{{- end -}}
{{- if .Values.metrics.enabled -}}{{- $_ := set $c "admin-listen" (printf "0.0.0.0:%v" .Values.metrics.port) -}}{{- end -}}
{{- toYaml (mergeOverwrite $c (deepCopy $r.config)) -}}
{{- end -}}

{{/* oidc.yaml: who of this cluster, and of other issuers, may do what. */}}
{{- define "ingot.registry.oidc" -}}
{{- $o := .Values.registry.oidc -}}
{{- $rules := deepCopy $o.rules -}}
{{- if and .Values.agent.enabled (not .Values.agent.tokenSecret) -}}
{{- $scopes := list -}}
{{- range .Values.agent.models -}}{{- $scopes = append $scopes (printf "%s:pull" .) -}}{{- end -}}
{{- $sub := printf "system:serviceaccount:%s:%s" .Release.Namespace (include "ingot.agent" .) -}}
{{- $rules = append $rules (dict "claims" (dict "sub" $sub) "scopes" $scopes) -}}
{{- end -}}
{{- $cluster := dict "issuer" $o.issuer "audience" $o.audience "rules" $rules "ca_file" "/var/run/secrets/kubernetes.io/ca/ca.crt" -}}
{{- if $o.jwks -}}
{{- $_ := set $cluster "jwks_file" "/etc/ingot/oidc/jwks.json" -}}
{{- else -}}
{{- $_ := set $cluster "discovery" true -}}
{{- end -}}
{{- toYaml (dict "issuers" (prepend $o.issuers $cluster)) -}}
{{- end -}}

{{- define "ingot.registry.tlsSecret" -}}
{{- if eq .Values.registry.tls.mode "secret" -}}{{ .Values.registry.tls.secretName }}{{- else -}}{{ include "ingot.registry" . }}-tls{{- end -}}
{{- end -}}

{{/* The pod of the registry, without the volume of its data. */}}
{{- define "ingot.registry.pod" -}}
{{- $r := .Values.registry -}}
{{- $oidc := and $r.oidc.enabled (eq $r.access "tokens") -}}
metadata:
  labels:
    {{- include "ingot.labels" (dict "root" . "part" "registry") | nindent 4 }}
    {{- with $r.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A changed configuration is a new pod.
    checksum/config: {{ printf "%s%s" (include "ingot.registry.config" .) (include "ingot.registry.oidc" .) | sha256sum }}
    {{- with $r.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "ingot.registry" . }}
  # The registry asks nothing of Kubernetes.
  automountServiceAccountToken: false
  enableServiceLinks: false
  # Requests under way get 25 seconds.
  terminationGracePeriodSeconds: 45
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $r.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: registry
      image: {{ include "ingot.image" (dict "root" . "image" $r.image) }}
      imagePullPolicy: {{ $r.image.pullPolicy }}
      args: [serve, --config, /etc/ingot/serve.yaml]
      {{- if $r.storage.store }}
      env:
        - {name: AWS_REGION, value: {{ $r.storage.region | quote }}}
        {{- with $r.storage.endpoint }}
        - {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
        {{- end }}
      {{- with $r.storage.credentialsSecret }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      {{- end }}
      ports:
        - {name: registry, containerPort: 7070}
        {{- if .Values.metrics.enabled }}
        - {name: admin, containerPort: {{ .Values.metrics.port }}}
        {{- end }}
      {{- $probe := dict "path" "/healthz" "port" "registry" "scheme" (ternary "HTTP" "HTTPS" (eq $r.tls.mode "none")) }}
      # A start may read much, and examine a store.
      startupProbe:
        httpGet: {{ toYaml $probe | nindent 10 }}
        periodSeconds: 5
        failureThreshold: 120
      # It answers while the store is away: no restart brings that back.
      livenessProbe:
        httpGet: {{ toYaml $probe | nindent 10 }}
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 6
      # One that is about to end answers 503 first.
      readinessProbe:
        httpGet: {{ toYaml $probe | nindent 10 }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}
      # Until nobody is sent here any more.
      lifecycle:
        preStop: {sleep: {seconds: 5}}
      {{- end }}
      resources:
        {{- $memory := printf "%sMi" (include "ingot.registry.memory" .) }}
        {{- toYaml (mergeOverwrite (dict "requests" (dict "memory" $memory) "limits" (dict "memory" $memory)) (deepCopy $r.resources)) | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: data, mountPath: /var/lib/ingot}
        - {name: config, mountPath: /etc/ingot/serve.yaml, subPath: serve.yaml, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if ne $r.tls.mode "none" }}
        # Whole, and not by subPath, so that a certificate that is renewed comes through.
        - {name: tls, mountPath: /etc/ingot/tls, readOnly: true}
        {{- end }}
        {{- if $oidc }}
        - {name: oidc, mountPath: /etc/ingot/oidc, readOnly: true}
        - {name: cluster, mountPath: /var/run/secrets/kubernetes.io/ca, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "ingot.registry" . }}}
    - name: tmp
      emptyDir: {sizeLimit: 1Gi}
    {{- if ne $r.tls.mode "none" }}
    - name: tls
      secret:
        secretName: {{ include "ingot.registry.tlsSecret" . }}
        defaultMode: 0440
    {{- end }}
    {{- if $oidc }}
    - name: oidc
      configMap: {name: {{ include "ingot.registry" . }}-oidc}
    # Whom to trust about the issuer of this cluster.
    - name: cluster
      configMap: {name: kube-root-ca.crt}
    {{- end }}
    {{- if $r.storage.store }}
    # What can be lost.
    - name: data
      emptyDir: {sizeLimit: {{ $r.storage.size }}}
    {{- end }}
  {{- with $r.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $r.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $r.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if $r.topologySpreadConstraints }}
  topologySpreadConstraints: {{ toYaml $r.topologySpreadConstraints | nindent 4 }}
  {{- else if $r.storage.store }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "ingot.selector" (dict "root" . "part" "registry") | nindent 10 }}
  {{- end }}
{{- end -}}
