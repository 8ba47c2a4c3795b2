# Whatever cluster the two providers are set up for gets one platform.

resource "random_password" "prefect" {
  length  = 40
  special = false
}

resource "random_password" "postgres" {
  length  = 40
  special = false
}

module "values" {
  source    = "./values"
  level     = var.level
  name      = var.name
  image     = var.image
  database  = var.database
  redis_url = var.redis_url
  pools     = var.pools
  passwords = {
    postgres = random_password.postgres.result
    prefect  = random_password.prefect.result
  }
}

locals {
  chart = var.chart != "" ? var.chart : "${path.module}/../../../kubernetes/chart"
}

resource "kubernetes_namespace_v1" "this" {
  metadata {
    name = var.namespace
    labels = {
      "pod-security.kubernetes.io/enforce" = "restricted"
      "pod-security.kubernetes.io/warn"    = "restricted"
    }
  }
}

resource "kubernetes_secret_v1" "this" {
  metadata {
    name      = module.values.secret
    namespace = kubernetes_namespace_v1.this.metadata[0].name
  }
  data = module.values.secrets

  lifecycle {
    # An administrator's token for Prometheus is added to it once the platform runs.
    ignore_changes = [data["metrics-token"]]
  }
}

resource "helm_release" "this" {
  name      = var.name
  namespace = kubernetes_namespace_v1.this.metadata[0].name
  chart     = local.chart
  timeout   = 900
  wait      = true

  values = [
    file("${local.chart}/values-${var.level}.yaml"),
    yamlencode(module.values.chart_values),
    yamlencode(var.values),
  ]

  depends_on = [kubernetes_secret_v1.this]
}
