ALTER TABLE "syncline"."budgets" ADD COLUMN "window_s" double precision;--> statement-breakpoint
ALTER TABLE "syncline"."budgets" ADD COLUMN "window_most" double precision;--> statement-breakpoint
ALTER TABLE "syncline"."budgets" ADD COLUMN "taken" double precision[][];