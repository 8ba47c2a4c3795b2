{{- define "qcpaas.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* Labels of a part: (dict "root" $ "part" "gateway"). */}}
{{- define "qcpaas.selector" -}}
app.kubernetes.io/name: qcpaas
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "qcpaas.labels" -}}
{{ include "qcpaas.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* A full reference: a name of the project's own gets registry and tag. */}}
{{- define "qcpaas.image" -}}
{{- $own := .root.Values.image -}}
{{- if contains "/" .image -}}{{ .image }}
{{- else -}}{{ $own.registry }}/{{ .image }}:{{ $own.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "qcpaas.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .group }}
fsGroup: {{ .group }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "qcpaas.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What every pod says: (dict "root" $ "user" 10001 "group" 10001). */}}
{{- define "qcpaas.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "qcpaas.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The replicas of a part on different machines, where there are any. */}}
{{- define "qcpaas.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "qcpaas.selector" . | nindent 8 }}
{{- end -}}

{{- define "qcpaas.prefectUrl" -}}
http://{{ include "qcpaas.name" . }}-prefect:4200/api
{{- end -}}

{{- define "qcpaas.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.existingSecret }}
      key: {{ .key }}
{{- end -}}

{{/* Of whoever calls Prefect's API and opens the store. */}}
{{- define "qcpaas.clientEnv" -}}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "QCPAAS_STORE_URL" "key" "store-url") }}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "PREFECT_API_AUTH_STRING" "key" "prefect-auth") }}
{{- end -}}

{{/* Of Prefect's server and its services. */}}
{{- define "qcpaas.serverEnv" -}}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "PREFECT_SERVER_DATABASE_CONNECTION_URL" "key" "prefect-database-url") }}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "PREFECT_SERVER_API_AUTH_STRING" "key" "prefect-auth") }}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "PREFECT_API_AUTH_STRING" "key" "prefect-auth") }}
{{- if .Values.redis.enabled }}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "PREFECT_REDIS_MESSAGING_URL" "key" "redis-url") }}
{{ include "qcpaas.secretEnv" (dict "root" . "name" "PREFECT_SERVER_DOCKET_URL" "key" "redis-url") }}
{{- end }}
{{- end -}}

{{- define "qcpaas.plainEnv" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "qcpaas.extraSecrets" -}}
{{- range .Values.extraSecrets }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- end -}}

{{/* For a part without an address: that its process is there and was not halted. */}}
{{- define "qcpaas.processProbe" -}}
exec:
  command:
    - python
    - -c
    - "import pathlib, sys; sys.exit(pathlib.Path('/proc/1/stat').read_text().rpartition(')')[2].split()[0] in 'TZ')"
periodSeconds: 30
timeoutSeconds: 10
failureThreshold: 3
{{- end -}}

{{/* Folders that may be written, the root file system may not. */}}
{{- define "qcpaas.mounts" -}}
- name: data
  mountPath: /var/lib/qcpaas
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "qcpaas.volumes" -}}
- name: data
  emptyDir:
    sizeLimit: {{ . }}
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- end -}}


{{/* Brings the database of Prefect up to date before a server or its services start. */}}
{{- define "qcpaas.migrate" }}
- name: migrate
  image: {{ include "qcpaas.image" (dict "root" . "image" .Values.prefect.image) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python, -m, deployments.migrate_prefect]
  securityContext:
    {{- include "qcpaas.containerSecurity" . | nindent 4 }}
  envFrom:
    - configMapRef: {name: {{ include "qcpaas.name" . }}-prefect}
  env:
    {{- include "qcpaas.serverEnv" . | nindent 4 }}
  resources:
    {{- toYaml .Values.prefect.resources | nindent 4 }}
  volumeMounts:
    {{- include "qcpaas.mounts" . | nindent 4 }}
{{- end }}
