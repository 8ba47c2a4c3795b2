variable "level" {
  description = "minimal: one of everything, with the database in the cluster. enterprise: replicas, Redis, a database outside."
  type        = string
  default     = "minimal"

  validation {
    condition     = contains(["minimal", "enterprise"], var.level)
    error_message = "level is minimal or enterprise."
  }
}

variable "name" {
  description = "Of the release."
  type        = string
  default     = "qcpaas"
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

  validation {
    condition     = var.level == "minimal" || var.database != null
    error_message = "the enterprise level has its database outside: give database."
  }
}

variable "redis_url" {
  description = "redis:// or rediss:// address of a Redis outside, for Prefect's messages; needed at the enterprise level."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.level == "minimal" || var.redis_url != null
    error_message = "the enterprise level has its Redis outside: give redis_url."
  }
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

  validation {
    condition     = alltrue([for pool in var.pools : can(regex("/.+:.+$", pool.image)) && !endswith(pool.image, ":latest")])
    error_message = "an image is a full reference with a tag that is not latest, such as registry.example.org/worker:1.0."
  }
}

variable "passwords" {
  description = "Made by the caller: of a database in the cluster, and of Prefect's API."
  type        = object({ postgres = string, prefect = string })
  sensitive   = true
}
