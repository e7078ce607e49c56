{{- define "peersync.labels" -}}
app.kubernetes.io/name: peersync
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "peersync.select" -}}
app.kubernetes.io/name: peersync
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: node
{{- end }}
{{- define "peersync.secret" -}}
{{ .Values.existingSecret | default (printf "%s-cluster" .Release.Name) }}
{{- end }}
{{- define "peersync.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- /* Where a runtime keeps its mirror files. */}}
{{- define "peersync.folder" -}}
{{ get (dict "containerd" "/etc/containerd" "docker" "/etc/docker" "crio" "/etc/containers" "k3s" "/etc/rancher/k3s") .Values.runtime }}
{{- end }}
{{- /* As root for the files of the node, and with nothing else of root. */}}
{{- define "peersync.wiring" -}}
securityContext:
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  requests: {cpu: 5m, memory: 16Mi}
  limits: {memory: 64Mi}
volumeMounts:
  - {name: runtime, mountPath: {{ printf "/host%s" (include "peersync.folder" .) }}}
  - {name: config, mountPath: /etc/peersync, readOnly: true}
{{- end }}
{{- define "peersync.config" -}}
{{- $p2p := dict "seeds" (concat (list (printf "dns:%s:5002" .Release.Name)) .Values.seeds) }}
{{- if not .Values.hostNetwork }}{{- $_ := set $p2p "multicast" false }}{{- $_ := set $p2p "site" "cluster" }}{{- end }}
{{- $own := dict "cache" (dict "size" .Values.cache.size) "registries" .Values.registries "p2p" $p2p }}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.config)) }}
{{- end }}
