# A platform of the minimal level on a kind cluster of this machine.
#
#   kind create cluster
#   for part in gateway server worker; do kind load docker-image qcpaas-$part:0.1.0; done
#   terraform init && terraform apply

terraform {
  required_version = ">= 1.9"

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.30, < 4.0"
    }
  }
}

variable "context" {
  description = "Of kubectl's configuration, as kind names it."
  type        = string
  default     = "kind-kind"
}

provider "kubernetes" {
  config_path    = "~/.kube/config"
  config_context = var.context
}

provider "helm" {
  kubernetes = {
    config_path    = "~/.kube/config"
    config_context = var.context
  }
}

module "platform" {
  source = "../../modules/platform"
  level  = "minimal"
  image  = { registry = "docker.io/library", tag = "0.1.0" }
}

output "reach_it" {
  description = "Then the gateway answers at http://127.0.0.1:4300."
  value       = "kubectl -n ${module.platform.namespace} port-forward service/${module.platform.gateway_service} 4300:4300"
}
