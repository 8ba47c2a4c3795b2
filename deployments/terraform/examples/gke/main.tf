# The enterprise level on Google Kubernetes Engine: an Autopilot cluster, Cloud SQL for PostgreSQL and
# Memorystore for Redis, all on one private network. KEDA and the Prometheus operator are expected in
# the cluster, or switched off in `values`.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.0"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.30, < 4.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
  }
}

variable "project" {
  description = "Google Cloud project."
  type        = string
}

variable "region" {
  description = "Where everything runs."
  type        = string
  default     = "europe-west4"
}

variable "host" {
  description = "Name under which clients reach the gateway."
  type        = string
}

variable "oidc" {
  description = "The identity provider whose tokens the gateway accepts."
  type        = object({ issuer = string, audience = string })
}

variable "image" {
  description = "Where the platform's images are."
  type        = object({ registry = string, tag = string })
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_compute_network" "this" {
  name                    = "qcpaas"
  auto_create_subnetworks = true
}

resource "google_compute_global_address" "services" {
  name          = "qcpaas-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 16
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "this" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]
}

resource "google_container_cluster" "this" {
  name             = "qcpaas"
  location         = var.region
  network          = google_compute_network.this.id
  enable_autopilot = true
}

resource "random_password" "database" {
  length  = 40
  special = false
}

resource "google_sql_database_instance" "this" {
  name             = "qcpaas"
  database_version = "POSTGRES_17"
  depends_on       = [google_service_networking_connection.this]

  settings {
    edition           = "ENTERPRISE"
    tier              = "db-custom-4-16384"
    availability_type = "REGIONAL"

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.this.id
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
    }
  }
}

resource "google_sql_user" "this" {
  name     = "qcpaas"
  instance = google_sql_database_instance.this.name
  password = random_password.database.result
}

resource "google_sql_database" "this" {
  for_each = toset(["qcpaas", "prefect"])
  name     = each.key
  instance = google_sql_database_instance.this.name
}

resource "google_redis_instance" "this" {
  name               = "qcpaas"
  tier               = "STANDARD_HA"
  memory_size_gb     = 1
  redis_version      = "REDIS_7_2"
  auth_enabled       = true
  authorized_network = google_compute_network.this.id
  connect_mode       = "PRIVATE_SERVICE_ACCESS"
  depends_on         = [google_service_networking_connection.this]
}

data "google_client_config" "this" {}

locals {
  cluster = {
    host                   = "https://${google_container_cluster.this.endpoint}"
    token                  = data.google_client_config.this.access_token
    cluster_ca_certificate = base64decode(google_container_cluster.this.master_auth[0].cluster_ca_certificate)
  }
}

provider "kubernetes" {
  host                   = local.cluster.host
  token                  = local.cluster.token
  cluster_ca_certificate = local.cluster.cluster_ca_certificate
}

provider "helm" {
  kubernetes = local.cluster
}

module "platform" {
  source = "../../modules/platform"
  level  = "enterprise"
  image  = var.image

  database = {
    host     = google_sql_database_instance.this.private_ip_address
    user     = google_sql_user.this.name
    password = random_password.database.result
    cidrs    = ["${google_compute_global_address.services.address}/${google_compute_global_address.services.prefix_length}"]
  }
  redis_url = "redis://:${google_redis_instance.this.auth_string}@${google_redis_instance.this.host}:${google_redis_instance.this.port}/0"

  values = {
    gateway = {
      oidc    = var.oidc
      ingress = { enabled = true, host = var.host }
    }
  }

  depends_on = [google_sql_database.this]
}

output "gateway" {
  description = "For clients."
  value       = "https://${var.host}"
}
