output "chart_values" {
  description = "For the chart, over the level's own; no secret is in them."
  value       = local.chart_values
}

output "secrets" {
  description = "Keys and values of the Secret that the chart expects."
  value       = local.secrets
  sensitive   = true
}

output "secret" {
  description = "Its name."
  value       = local.secret
}

output "base" {
  description = "What the names of the chart's objects begin with."
  value       = local.base
}
