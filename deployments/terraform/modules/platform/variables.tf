variable "level" {
  description = "minimal: one of everything, with the database in the cluster. enterprise: replicas, Redis, a database outside."
  type        = string
  default     = "minimal"
}

variable "name" {
  description = "Of the release."
  type        = string
  default     = "qcpaas"
}

variable "namespace" {
  description = "Created, with the restricted pod security standard enforced."
  type        = string
  default     = "qcpaas"
}

variable "chart" {
  description = "Path or address of the chart; the one beside this module unless given."
  type        = string
  default     = ""
}

variable "image" {
  description = "Where the platform's images are: registry and tag."
  type = object({
    registry = optional(string, "ghcr.io/qcpaas")
    tag      = optional(string, "")
  })
  default = {}
}

variable "database" {
  description = "A PostgreSQL outside, with the databases qcpaas and prefect; needed at the enterprise level, and left out at minimal."
  type = object({
    host     = string
    port     = optional(number, 5432)
    user     = optional(string, "qcpaas")
    password = string
    cidrs    = optional(list(string), ["10.0.0.0/8"])
  })
  default   = null
  sensitive = true
}

variable "redis_url" {
  description = "redis:// or rediss:// address of a Redis outside, for Prefect's messages; needed at the enterprise level."
  type        = string
  default     = null
  sensitive   = true
}

variable "pools" {
  description = "Worker images beside the platform's own, by pool: a full image reference with its tag, how many workers, GPUs of each, and the most that autoscaling starts (0: no autoscaling)."
  type = map(object({
    image        = string
    replicas     = optional(number, 1)
    gpus         = optional(number, 0)
    max_replicas = optional(number, 0)
  }))
  default = {}
}

variable "values" {
  description = "Further values of the chart, which win over all others."
  type        = any
  default     = {}
}
