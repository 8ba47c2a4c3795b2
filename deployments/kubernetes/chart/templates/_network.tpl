{{- define "qcpaas.peer" }}
- podSelector:
    matchLabels:
      {{- include "qcpaas.selector" . | nindent 6 }}
{{- end }}
{{- define "qcpaas.toPrefect" }}
- to:
    {{- include "qcpaas.peer" (dict "root" . "part" "prefect") | nindent 4 }}
  ports: [{port: 4200, protocol: TCP}]
{{- end }}
{{- define "qcpaas.toPostgresql" }}
- to:
    {{- if .Values.postgresql.bundled }}
    {{- include "qcpaas.peer" (dict "root" . "part" "postgresql") | nindent 4 }}
    {{- else }}
    {{- range .Values.postgresql.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
    {{- end }}
  ports: [{port: {{ ternary 5432 .Values.postgresql.port .Values.postgresql.bundled }}, protocol: TCP}]
{{- end }}
{{- define "qcpaas.toRedis" }}
{{- if .Values.redis.enabled }}
- to:
    {{- if .Values.redis.bundled }}
    {{- include "qcpaas.peer" (dict "root" . "part" "redis") | nindent 4 }}
    {{- else }}
    {{- range .Values.postgresql.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
    {{- end }}
  ports: [{port: 6379, protocol: TCP}]
{{- end }}
{{- end }}
{{- define "qcpaas.toAdapters" }}
{{- with .Values.networkPolicy.adapters }}
- to:
    {{- range .cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
        {{- with $.Values.networkPolicy.adapters.except }}
        except: {{ toJson . }}
        {{- end }}
    {{- end }}
  ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end }}
{{- define "qcpaas.toInstruments" }}
{{- range .Values.networkPolicy.instruments }}
- to: [{ipBlock: {cidr: {{ .cidr | quote }}}}]
  ports: [{port: {{ .port }}, protocol: TCP}]
{{- end }}
{{- end }}
{{- define "qcpaas.policy" }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "qcpaas.name" .root }}-{{ .part }}
  labels:
    {{- include "qcpaas.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "qcpaas.selector" . | nindent 6 }}
{{- end }}
